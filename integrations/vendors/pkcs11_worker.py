"""The process that holds one PKCS#11 module: reads requests on stdin, answers on stdout, and does nothing else.

python-pkcs11 initialises modules without locks, calls into a module cannot be interrupted, and a module can crash its
process.  So every token gets a process of its own, without threads, that its owner may end at any time.

A message is four bytes of length (big endian) and that much JSON.  Bytes travel as base64 under the key ``b64``.  A
request is ``{"call": NAME, "args": {…}}``, an answer ``{"ok": value}`` or ``{"error": code, "detail": class}``.  PINs
arrive in messages only, never in arguments or environment, and nothing that arrived is ever written anywhere.
"""

from __future__ import annotations

import base64
import os
import re
import struct
import sys
from typing import Any, BinaryIO

import orjson
import pkcs11
from pkcs11.exceptions import PKCS11Error

from integrations.vendors import pkcs11_objects as objects
from integrations.vendors import pkcs11_wrapping as wrapping

_USER_PIN_FINAL_TRY_OR_LOCKED = 0x20000 | 0x40000
#: Codes for which python-pkcs11 0.10 has no class.
_UNMAPPED = {0x68: "CKR_KEY_FUNCTION_NOT_PERMITTED", 0x1B: "CKR_ACTION_PROHIBITED"}


def pack(message: dict[str, Any]) -> bytes:
    """One message, framed."""
    body = orjson.dumps(message, default=_encode)
    return struct.pack(">I", len(body)) + body


def unpack(body: bytes) -> dict[str, Any]:
    """The message in a frame's body."""
    message: dict[str, Any] = _decode(orjson.loads(body))
    return message


def code_of(error: Exception) -> str:
    """The name of the CKR_ code behind an error of python-pkcs11; "" for any other error."""
    if isinstance(error, objects.KnownCode):
        return error.code
    if not isinstance(error, PKCS11Error):
        return ""
    unmapped = re.search(r"code (0x[0-9a-fA-F]+|\d+)", str(error))
    if type(error) is PKCS11Error and unmapped:
        number = int(unmapped[1], 0)
        return _UNMAPPED.get(number, f"CKR_0x{number:x}")
    return "CKR_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).upper()


class Served:
    """The calls that a worker answers; each public method is one."""

    def __init__(self) -> None:
        self._module: Any = None
        self._session: Any = None

    def login(self, module: str, token: str, pin: str, *, cautious: bool = False, officer: bool = False) -> None:
        """Log in as the user, or as the security officer.

        ``cautious`` gives up rather than spend the last try of a token that locks.
        """
        if self._module is None:
            self._module = pkcs11.lib(module)
        found = objects.find_token(self._module, token)
        if cautious and int(found.flags) & _USER_PIN_FINAL_TRY_OR_LOCKED:
            raise objects.KnownCode("CKF_USER_PIN_FINAL_TRY")
        self._session = found.open(rw=True, **{"so_pin" if officer else "user_pin": pin})

    def change_pin(self, old: str, new: str) -> None:
        """Change the user PIN."""
        self._session.set_pin(old, new)

    def labels(self) -> list[str]:
        """Labels of the secret and private keys on the token."""
        return objects.labels(self._session)

    def facts(self, label: str) -> dict[str, Any]:
        """What the token says about a key."""
        return objects.facts(objects.find(self._session, label))

    def possible(self, kind: str) -> dict[str, str]:
        """What a throw-away key of this kind can do: move → "" or the code of its refusal."""
        return wrapping.possible(self._session, kind, code_of)

    def use(self, label: str, operation: str) -> str:
        """Try a key; returns "" when it did its work, or the code of a failure that came after the key was accepted."""
        return wrapping.use(self._session, objects.find(self._session, label), operation, code_of)

    def set_usage(self, label: str, usage: dict[str, dict[str, bool]]) -> None:
        """Set usage attributes: object class → attribute → value."""
        objects.set_usage(objects.find(self._session, label), usage)

    def generate(self, label: str, spec: dict[str, Any]) -> bool:
        """Generate a key, unless the label is taken; says whether it did."""
        return objects.generate(self._session, label, spec)

    def destroy(self, label: str) -> bool:
        """Destroy every object of the label; says whether there was one."""
        return objects.destroy(self._session, label)

    def wrap(self, label: str, items: list[list[bytes]]) -> list[dict[str, Any]]:
        """Wrap (data key, context) pairs."""
        wrapper = wrapping.wrapper(self._session, objects.find(self._session, label))
        return [_item(wrapper.wrap, data_key, context) for data_key, context in items]

    def unwrap(self, label: str, items: list[list[bytes]]) -> list[dict[str, Any]]:
        """Unwrap (blob, context) pairs."""
        wrapper = wrapping.unwrapper(self._session, objects.find(self._session, label))
        return [_item(wrapper.unwrap, blob, context) for blob, context in items]

    def rewrap(self, old: str, new: str, items: list[list[bytes]]) -> list[dict[str, Any]]:
        """Move (blob, context) pairs from one key to another; the data key stays in this process."""
        source = wrapping.unwrapper(self._session, objects.find(self._session, old))
        target = wrapping.wrapper(self._session, objects.find(self._session, new))

        def move(blob: bytes, context: bytes) -> bytes:
            return target.wrap(source.unwrap(blob, context), context)

        return [_item(move, blob, context) for blob, context in items]

    def sign(self, label: str, message: bytes) -> bytes:
        """Sign a message with SHA-256."""
        return wrapping.sign(objects.find(self._session, label), message)

    def public_key(self, label: str) -> bytes:
        """The public key: SPKI DER for EC, RSAPublicKey DER for RSA."""
        return objects.public_key(objects.find(self._session, label))


def _item(work: Any, first: bytes, context: bytes) -> dict[str, Any]:
    try:
        return {"ok": work(first, context)}
    except (PKCS11Error, objects.KnownCode) as error:
        return {"error": code_of(error)}


def _encode(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode("ascii")}
    raise TypeError(type(value).__name__)


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"b64"}:
            return base64.b64decode(value["b64"])
        return {name: _decode(inner) for name, inner in value.items()}
    return [_decode(inner) for inner in value] if isinstance(value, list) else value


def _answer(served: Served, body: bytes) -> dict[str, Any]:
    try:
        request = unpack(body)
        return {"ok": getattr(served, request["call"])(**request["args"])}
    except Exception as error:  # noqa: BLE001 - the process must answer whatever a module does to it
        return {"error": code_of(error), "detail": type(error).__name__}


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the other side hangs up."""
    served = Served()
    while len(head := requests.read(4)) == 4:
        body = requests.read(struct.unpack(">I", head)[0])
        answers.write(pack(_answer(served, body)))
        answers.flush()


def main() -> None:
    """Serve on stdin and stdout; whatever a module prints goes to stderr instead."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)
    # Modules' exit handlers are skipped on purpose: some of them crash or wait.
    os._exit(0)


if __name__ == "__main__":
    main()
