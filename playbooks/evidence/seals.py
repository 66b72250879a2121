"""The detached signature of a manifest: base64 in one line."""

from __future__ import annotations

import base64
import binascii

from playbooks.errors import RecordError


def write_seal(signature: bytes) -> bytes:
    """The file that holds this signature."""
    return base64.b64encode(signature) + b"\n"


def read_seal(content: bytes) -> bytes:
    """The signature in such a file.  Raises RecordError when it is not in its one form."""
    try:
        signature = base64.b64decode(content.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RecordError("the signature of the manifest is not base64.") from error
    if write_seal(signature) != content:
        raise RecordError("the signature of the manifest is not in its one form.")
    return signature
