"""How a token wraps data keys, as the worker process sees it.

A wrapped data key is one byte of format and what that format needs to be opened again:

====  =================================================================================================
0x01  AES-GCM: 12 bytes of random IV, ciphertext, 16 bytes of tag; the context is the associated data
0x02  AES key wrap (RFC 3394) of the frame below
0x03  RSA-OAEP with SHA-1 (what SoftHSM 2.6 and p11-kit's client know) of the frame below
====  =================================================================================================

Where the mechanism has no associated data, the context is bound by wrapping a *frame*: one byte of length, the data
key, the first 16 bytes of SHA-256 of the context, zeros up to a multiple of 8 (SoftHSM pads silently otherwise).

Random 96-bit IVs limit one AES-GCM key to 2**32 data keys (NIST SP 800-38D §8.3).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from typing import Any

from pkcs11 import MGF, Attribute, GCMParams, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.exceptions import (
    EncryptedDataInvalid,
    EncryptedDataLenRange,
    GeneralError,
    PKCS11Error,
    WrappedKeyInvalid,
    WrappedKeyLenRange,
)
from pkcs11.util.ec import encode_ecdsa_signature

from integrations.vendors.pkcs11_objects import KnownCode, make_key

_GCM, _KEY_WRAP, _OAEP = b"\x01", b"\x02", b"\x03"
_OAEP_SHA1 = (Mechanism.SHA_1, MGF.SHA1, None)
_TAMPERED = (EncryptedDataInvalid, EncryptedDataLenRange, GeneralError, WrappedKeyInvalid, WrappedKeyLenRange)
_BROKEN = "WRAPPED_KEY_BROKEN"
_SAMPLE = bytes(32)
_ALL = (
    MechanismFlag.ENCRYPT
    | MechanismFlag.DECRYPT
    | MechanismFlag.WRAP
    | MechanismFlag.UNWRAP
    | MechanismFlag.SIGN
    | MechanismFlag.VERIFY
)

CodeOf = Callable[[Exception], str]


class Wrapper:
    """Wraps and unwraps under one key of a token, in one format; unwrapping accepts every format of that key."""

    def __init__(self, session: Any, key: dict[str, Any], chosen: bytes = b"") -> None:
        self._session = session
        self._key = key
        self._format = chosen

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """The blob of one data key."""
        if self._format == _GCM:
            nonce = os.urandom(12)
            params = GCMParams(nonce, context or None, 128)
            sealed = self._key["secret"].encrypt(data_key, mechanism=Mechanism.AES_GCM, mechanism_param=params)
            return _GCM + nonce + bytes(sealed)
        frame = _frame(data_key, context)
        if self._format == _KEY_WRAP:
            return _KEY_WRAP + self._key_wrap(frame)
        public = self._key["public"]
        sealed = public.encrypt(frame, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=_OAEP_SHA1)
        return _OAEP + bytes(sealed)

    def unwrap(self, blob: bytes, context: bytes) -> bytes:
        """The data key of one blob; raises KnownCode when blob, context or key do not belong together."""
        kind, sealed = blob[:1], blob[1:]
        try:
            if kind == _GCM:
                params = GCMParams(sealed[:12], context or None, 128)
                opened = self._need("secret").decrypt(sealed[12:], mechanism=Mechanism.AES_GCM, mechanism_param=params)
                return bytes(opened)
            if kind == _KEY_WRAP:
                return _unframe(self._key_unwrap(sealed), context)
            if kind == _OAEP:
                private = self._need("private")
                frame = private.decrypt(sealed, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=_OAEP_SHA1)
                return _unframe(bytes(frame), context)
        except _TAMPERED as error:
            raise KnownCode(_BROKEN) from error
        raise KnownCode(_BROKEN)

    def _need(self, part: str) -> Any:
        if part not in self._key:
            raise KnownCode(_BROKEN)
        return self._key[part]

    def _key_wrap(self, frame: bytes) -> bytes:
        template = {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
            Attribute.TOKEN: False,
            Attribute.SENSITIVE: False,
            Attribute.EXTRACTABLE: True,
            Attribute.VALUE: frame,
        }
        carried = self._session.create_object(template)
        try:
            return bytes(self._key["secret"].wrap_key(carried, mechanism=Mechanism.AES_KEY_WRAP))
        finally:
            carried.destroy()

    def _key_unwrap(self, sealed: bytes) -> bytes:
        carried = self._need("secret").unwrap_key(
            ObjectClass.SECRET_KEY,
            KeyType.GENERIC_SECRET,
            sealed,
            mechanism=Mechanism.AES_KEY_WRAP,
            template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True, Attribute.TOKEN: False},
        )
        try:
            return bytes(carried[Attribute.VALUE])
        finally:
            carried.destroy()


#: The format that a module can do, by kind of key; found by trying once in the life of a worker.
_CHOSEN: dict[str, bytes] = {}


def wrapper(session: Any, key: dict[str, Any]) -> Wrapper:
    """A Wrapper in the best format that this module can do for keys of this type."""
    algorithm = "AES" if "secret" in key else "RSA"
    if algorithm not in _CHOSEN:
        _CHOSEN[algorithm] = _choose(session, algorithm)
    if algorithm == "RSA" and "public" not in key:
        raise KnownCode("NO_PUBLIC_KEY")
    return Wrapper(session, key, _CHOSEN[algorithm])


def unwrapper(session: Any, key: dict[str, Any]) -> Wrapper:
    """A Wrapper for opening blobs of any format."""
    return Wrapper(session, key)


def possible(session: Any, kind: str, code_of: CodeOf) -> dict[str, str]:
    """Try every move on a throw-away session key of this kind; "" means that it worked."""
    probed = "RSA-2048" if kind.startswith("RSA") else kind
    try:
        key = make_key(session, "keyquell-throw-away", probed, _ALL, store=False)
    except (PKCS11Error, KnownCode) as error:
        return dict.fromkeys(("create", "wrap", "sign", "disable"), code_of(error))
    found = {"create": ""}
    found["wrap"] = _attempt(lambda: _round_trip(session, key, kind), code_of)
    found["sign"] = _attempt(lambda: sign(key, b"probe"), code_of) if "private" in key else "CKR_KEY_TYPE_INCONSISTENT"
    found["disable"] = _attempt(lambda: _disabling(session, key, code_of), code_of)
    for item in key.values():
        item.destroy()
    return found


def use(session: Any, key: dict[str, Any], operation: str, code_of: CodeOf) -> str:
    """Try ``encrypt``, ``decrypt`` or ``sign``; raises when the key is refused.

    Returns "", or for a decryption of random bytes the code that the token gave after it had accepted the key.
    """
    if operation == "sign":
        sign(key, b"keyquell probe")
        return ""
    if not _can_wrap(session, key):
        return _block_use(key, operation)
    if operation == "encrypt":
        wrapper(session, key).wrap(_SAMPLE, b"")
        return ""
    try:
        blob = wrapper(session, key).wrap(_SAMPLE, b"")
    except (PKCS11Error, KnownCode):
        blob = _random_blob(session, key)
    try:
        opened = Wrapper(session, key).unwrap(blob, b"")
    except KnownCode as error:
        return code_of(error.__cause__ if isinstance(error.__cause__, PKCS11Error) else error)
    return "" if hmac.compare_digest(opened, _SAMPLE) else _BROKEN


def sign(key: dict[str, Any], message: bytes) -> bytes:
    """ECDSA with SHA-256 as DER, or RSASSA-PKCS1-v1_5 with SHA-256."""
    if "private" not in key:
        raise KnownCode("CKR_KEY_TYPE_INCONSISTENT")
    private = key["private"]
    if private.key_type == KeyType.RSA:
        return bytes(private.sign(message, mechanism=Mechanism.SHA256_RSA_PKCS))
    # SoftHSM 2.6 has no ECDSA_SHA256: the digest is made here and signed there.
    raw = private.sign(hashlib.sha256(message).digest(), mechanism=Mechanism.ECDSA)
    return bytes(encode_ecdsa_signature(raw))


def _choose(session: Any, algorithm: str) -> bytes:
    if algorithm == "RSA":
        return _OAEP
    key = make_key(session, "keyquell-throw-away", "AES-256", _ALL, store=False)
    last: Exception = KnownCode("CKR_MECHANISM_INVALID")
    try:
        for chosen in (_GCM, _KEY_WRAP):
            trial = Wrapper(session, key, chosen)
            try:
                if trial.unwrap(trial.wrap(_SAMPLE, b"context"), b"context") == _SAMPLE:
                    return chosen
            except (PKCS11Error, KnownCode) as error:
                last = error
    finally:
        key["secret"].destroy()
    raise last


def _round_trip(session: Any, key: dict[str, Any], kind: str) -> None:
    if not kind.startswith(("AES", "RSA")):
        raise KnownCode("CKR_KEY_TYPE_INCONSISTENT")
    trial = wrapper(session, key)
    if trial.unwrap(trial.wrap(_SAMPLE, b"context"), b"context") != _SAMPLE:
        raise KnownCode(_BROKEN)


def _disabling(session: Any, key: dict[str, Any], code_of: CodeOf) -> None:
    """Clear the usage attributes of a throw-away key and see that they bind."""
    main = key.get("secret") or key["private"]
    operation = "sign" if "private" in key else "encrypt"
    for name in ("SIGN", "DECRYPT", "UNWRAP") if operation == "sign" else ("ENCRYPT", "WRAP", "DECRYPT", "UNWRAP"):
        main[Attribute[name]] = False
    refusal = _attempt(lambda: _raw_use(main), code_of)
    if refusal != "CKR_KEY_FUNCTION_NOT_PERMITTED":
        raise KnownCode(refusal or "NOT_ENFORCED")


def _raw_use(main: Any) -> None:
    if main.key_type == KeyType.AES:
        main.encrypt(bytes(16), mechanism=Mechanism.AES_ECB)
    else:
        sign({"private": main}, b"probe")


def _can_wrap(session: Any, key: dict[str, Any]) -> bool:
    if "private" in key:
        if key["private"].key_type != KeyType.RSA:
            raise KnownCode("CKR_KEY_TYPE_INCONSISTENT")
        return True
    try:
        wrapper(session, key)
    except (PKCS11Error, KnownCode):
        return False
    return True


def _block_use(key: dict[str, Any], operation: str) -> str:
    """One AES block: p11-kit's client passes no mechanism with parameters, but this one."""
    work = key["secret"].encrypt if operation == "encrypt" else key["secret"].decrypt
    work(bytes(16), mechanism=Mechanism.AES_ECB)
    return ""


def _random_blob(session: Any, key: dict[str, Any]) -> bytes:
    if "private" in key:
        return _OAEP + os.urandom(len(key["private"][Attribute.MODULUS]))
    algorithm = _CHOSEN.get("AES") or _choose(session, "AES")
    return algorithm + os.urandom(60 if algorithm == _GCM else 56)


def _attempt(work: Callable[[], object], code_of: CodeOf) -> str:
    try:
        work()
    except (PKCS11Error, KnownCode) as error:
        return code_of(error) or type(error).__name__
    return ""


def _frame(data_key: bytes, context: bytes) -> bytes:
    frame = bytes([len(data_key)]) + data_key + hashlib.sha256(context).digest()[:16]
    return frame + bytes(-len(frame) % 8)


def _unframe(frame: bytes, context: bytes) -> bytes:
    length = frame[0] if frame else 0
    if not hmac.compare_digest(frame[1 + length : 17 + length], hashlib.sha256(context).digest()[:16]):
        raise KnownCode(_BROKEN)
    return frame[1 : 1 + length]
