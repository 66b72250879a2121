"""The process that holds one PKCS#11 module: reads requests, answers them, and does nothing else.

python-pkcs11 initialises modules without locks, calls into a module cannot be interrupted, and a module can crash its
process.  So every token gets a process of its own, without threads, that its owner may end at any time.

Messages are those of ``pkcs11_frames``.  A request is ``{"call": NAME, …arguments}``, an answer ``{"ok": value}`` or
``{"error": code, "detail": class}``; a batch answers with one blob an item and ``failed``, index → code.  PINs arrive
in messages only, never in arguments or environment, and nothing that arrived is ever written anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import pkcs11
from pkcs11.exceptions import PKCS11Error

from integrations.vendors import pkcs11_objects as objects
from integrations.vendors import pkcs11_wrapping as wrapping
from integrations.vendors.pkcs11_frames import pack, size_of, unpack

_USER_PIN_FINAL_TRY_OR_LOCKED = 0x20000 | 0x40000
#: Codes for which python-pkcs11 0.10 has no class.
_UNMAPPED = {0x68: "CKR_KEY_FUNCTION_NOT_PERMITTED", 0x1B: "CKR_ACTION_PROHIBITED"}


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of a batch: a blob for every item, empty where ``failed`` holds its index and code."""

    blobs: list[bytes]
    failed: dict[int, str]


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
        self._staged = ""

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

    def generate(self, label: str, spec: dict[str, Any], staged: str = "") -> bool:
        """Generate a key, under the label ``staged`` if given, unless ``label`` is taken; says whether it did."""
        made = objects.generate(self._session, label, spec, staged=staged)
        self._staged = staged if made else ""
        return made

    def adopt(self, staged: str, label: str) -> bool:
        """Give a staged key its label, unless that is taken; says whether it did."""
        adopted = objects.adopt(self._session, staged, label)
        self._staged = ""
        return adopted

    def leave(self) -> None:
        """The owner is gone: what it staged and did not adopt goes too; its successor may have swept already."""
        if self._staged:
            with suppress(PKCS11Error):
                objects.destroy(self._session, self._staged)

    def destroy(self, label: str) -> bool:
        """Destroy every object of the label; says whether there was one."""
        return objects.destroy(self._session, label)

    def wrap(self, label: str, items: Sequence[bytes], contexts: Sequence[bytes]) -> Batch:
        """Wrap data keys, each bound to its context."""
        wrapper = wrapping.wrapper(self._session, objects.find(self._session, label))
        return _batch(wrapper.wrap, items, contexts)

    def unwrap(self, label: str, items: Sequence[bytes], contexts: Sequence[bytes]) -> Batch:
        """Unwrap blobs, each with its context."""
        wrapper = wrapping.unwrapper(self._session, objects.find(self._session, label))
        return _batch(wrapper.unwrap, items, contexts)

    def rewrap(self, old: str, new: str, items: Sequence[bytes], contexts: Sequence[bytes]) -> Batch:
        """Move blobs from one key to another; the data keys stay in this process."""
        opened = wrapping.unwrapper(self._session, objects.find(self._session, old)).unwrap
        sealed = wrapping.wrapper(self._session, objects.find(self._session, new)).wrap
        return _batch(lambda blob, context: sealed(opened(blob, context), context), items, contexts)

    def sign(self, label: str, message: bytes) -> bytes:
        """Sign a message with SHA-256."""
        return wrapping.sign(objects.find(self._session, label), message)

    def public_key(self, label: str) -> bytes:
        """The public key: SPKI DER for EC, RSAPublicKey DER for RSA."""
        return objects.public_key(objects.find(self._session, label))


def _batch(work: Callable[[bytes, bytes], bytes], items: Sequence[bytes], contexts: Sequence[bytes]) -> Batch:
    blobs: list[bytes] = []
    failed: dict[int, str] = {}
    for item, context in zip(items, contexts, strict=True):
        try:
            blobs.append(work(item, context))
        except (PKCS11Error, objects.KnownCode) as error:
            failed[len(blobs)] = code_of(error)
            blobs.append(b"")
    return Batch(blobs, failed)


def _answer(served: Served, body: bytes) -> dict[str, Any]:
    try:
        request = unpack(body)
        done = getattr(served, request.pop("call"))(**request)
    except Exception as error:  # noqa: BLE001 - the process must answer whatever a module does to it
        return {"error": code_of(error), "detail": type(error).__name__}
    return {"ok": done.blobs, "failed": done.failed} if isinstance(done, Batch) else {"ok": done}


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the other side hangs up."""
    served = Served()
    with suppress(BrokenPipeError):
        while len(length := requests.read(4)) == 4:
            answers.write(pack(_answer(served, requests.read(size_of(length)))))
            answers.flush()
    served.leave()
