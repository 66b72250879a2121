"""Objects of a token, as the worker process sees them: find, describe, generate, change, destroy.

A key is what carries its label: a secret key, or a private key with its public half.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pkcs11._pkcs11 as native
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.util.ec import encode_ec_public_key
from pkcs11.util.rsa import encode_rsa_public_key

_native: Any = native
_CLASSES = {
    "secret": ObjectClass.SECRET_KEY,
    "private": ObjectClass.PRIVATE_KEY,
    "public": ObjectClass.PUBLIC_KEY,
}
_USAGE = {
    "secret": ("ENCRYPT", "DECRYPT", "SIGN", "WRAP", "UNWRAP", "DERIVE"),
    "private": ("DECRYPT", "SIGN", "UNWRAP", "DERIVE"),
    "public": ("ENCRYPT", "WRAP"),
}
_CURVES = {bytes.fromhex("06082a8648ce3d030107"): "EC-P256", bytes.fromhex("06052b81040022"): "EC-P384"}
_ENCRYPTION = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT | MechanismFlag.WRAP | MechanismFlag.UNWRAP
_SIGNING = MechanismFlag.SIGN | MechanismFlag.VERIFY


class KnownCode(Exception):
    """A failure whose code is known without a PKCS#11 error."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


STAGE = "#"
"""Stands between a label and the mark of a key that is being made for it."""


def every_use(key: Any) -> Any:
    """The same object with every method.

    python-pkcs11 fixes the methods by the usage attributes at fetch time, so that a disabled key raises AttributeError
    instead of asking the token; here the token always answers.  The key type is read once, not before each call.
    """
    names = ("EncryptMixin", "DecryptMixin", "SignMixin", "WrapMixin", "UnwrapMixin")
    bases = (type(key).__bases__[0], *(getattr(_native, name) for name in names), _native.Object)
    return type("EveryUse", bases, {"key_type": key[Attribute.KEY_TYPE]})(key.wrapper)


def find_token(module: Any, label: str) -> Any:
    """The token of this label; slot by slot, because one broken token makes the library's search raise."""
    for slot in module.get_slots(token_present=True):
        try:
            token = slot.get_token()
        except PKCS11Error:
            continue
        if token.label == label:
            return token
    raise KnownCode("CKR_TOKEN_NOT_PRESENT")


def find(session: Any, label: str) -> dict[str, Any]:
    """The objects of one key by class; raises KnownCode when there is none or the label is not unique."""
    found: dict[str, Any] = {}
    for item in list(session.get_objects({Attribute.LABEL: label})):
        for name, number in _CLASSES.items():
            if item[Attribute.CLASS] == number:
                if name in found:
                    raise KnownCode("AMBIGUOUS_LABEL")
                found[name] = every_use(item)
    if not {"secret", "private"} & found.keys():
        raise KnownCode("NO_SUCH_OBJECT")
    return found


def labels(session: Any) -> list[str]:
    """Labels of all secret and private keys, sorted."""
    found = set()
    for kind in ("secret", "private"):
        for item in list(session.get_objects({Attribute.CLASS: _CLASSES[kind], Attribute.TOKEN: True})):
            found.add(str(item[Attribute.LABEL]))
    return sorted(found - {""})


def kind_of(key: dict[str, Any]) -> str:
    """Algorithm and size: ``AES-256``, ``RSA-3072``, ``EC-P256`` …"""
    if "secret" in key:
        secret = key["secret"]
        name = "AES" if secret.key_type == KeyType.AES else secret.key_type.name
        return f"{name}-{int(secret[Attribute.VALUE_LEN]) * 8}"
    private = key["private"]
    if private.key_type == KeyType.RSA:
        return f"RSA-{int.from_bytes(_modulus(key), 'big').bit_length()}"
    if private.key_type == KeyType.EC:
        curve = bytes(private[Attribute.EC_PARAMS])
        return _CURVES.get(curve, f"EC-{curve.hex()}")
    return str(private.key_type.name)


def facts(key: dict[str, Any]) -> dict[str, Any]:
    """Kind, usage attributes by class, and the limits that the token states."""
    main = key.get("secret") or key["private"]
    usage = {
        part: {name: bool(_read(item, name)) for name in _USAGE[part] if _read(item, name) is not None}
        for part, item in key.items()
    }
    identifier = _read(main, "ID")
    return {
        "kind": kind_of(key),
        "usage": usage,
        "verifies": bool("public" in key and _read(key["public"], "VERIFY")),
        "extractable": _read(main, "EXTRACTABLE"),
        "modifiable": _read(main, "MODIFIABLE") is not False,
        "destroyable": _read(main, "DESTROYABLE") is not False,
        "start_date": start.isoformat() if isinstance(start := _read(main, "START_DATE"), date) else "",
        "id": identifier.hex() if isinstance(identifier, bytes) else "",
    }


def set_usage(key: dict[str, Any], usage: dict[str, dict[str, bool]]) -> None:
    """Set usage attributes that differ; parts the key does not have are skipped."""
    for part, values in usage.items():
        item = key.get(part)
        if item is None:
            continue
        for name, value in values.items():
            if name not in _USAGE[part]:
                raise KnownCode("CKR_ATTRIBUTE_TYPE_INVALID")
            if bool(_read(item, name)) != value:
                item[Attribute[name]] = value


def generate(session: Any, label: str, spec: dict[str, Any], *, staged: str = "", store: bool = True) -> bool:
    """Generate ``spec = {kind, purpose}``: sensitive, never extractable, not copyable, usage changeable later.

    The new key is called ``staged`` when that is given; False when ``label`` is taken and nothing was generated.
    """
    if store and list(session.get_objects({Attribute.LABEL: label})):
        return False
    usage = _SIGNING if spec["purpose"] == "sign" else _ENCRYPTION
    make_key(session, staged or label, spec["kind"], usage, store=store)
    return True


def adopt(session: Any, staged: str, label: str) -> bool:
    """Give a staged key its label, and destroy what earlier tries staged for it; False when the label is taken."""
    taken = bool(list(session.get_objects({Attribute.LABEL: label})))
    if not taken:
        for item in list(session.get_objects({Attribute.LABEL: staged})):
            item[Attribute.LABEL] = label
            item[Attribute.ID] = label.encode()
    for item in list(session.get_objects()):
        if str(item[Attribute.LABEL]).startswith(staged.rpartition(STAGE)[0] + STAGE):
            item.destroy()
    return not taken


def make_key(session: Any, label: str, kind: str, usage: Any, *, store: bool) -> dict[str, Any]:
    """Generate a key of this kind and return its objects by class."""
    hidden = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.COPYABLE: False}
    hidden |= {Attribute.MODIFIABLE: True}
    algorithm, _, size = kind.partition("-")
    common = {"label": label, "id": label.encode(), "store": store, "capabilities": usage}
    if algorithm == "AES":
        made = session.generate_key(KeyType.AES, int(size), template=hidden | {Attribute.PRIVATE: True}, **common)
        return {"secret": every_use(made)}
    if algorithm == "RSA":
        pair = session.generate_keypair(KeyType.RSA, int(size), private_template=hidden, **common)
    elif algorithm == "EC":
        curves = {name: oid for oid, name in _CURVES.items()}
        if kind not in curves:
            raise KnownCode("CKR_CURVE_NOT_SUPPORTED")
        domain = session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: curves[kind]}, local=True)
        pair = domain.generate_keypair(private_template=hidden, **common)
    else:
        raise KnownCode("CKR_MECHANISM_INVALID")
    return {"public": every_use(pair[0]), "private": every_use(pair[1])}


def destroy(session: Any, label: str) -> bool:
    """Destroy the key and its public half."""
    doomed = list(session.get_objects({Attribute.LABEL: label}))
    for item in doomed:
        if item[Attribute.CLASS] in _CLASSES.values():
            item.destroy()
    return bool(doomed)


def public_key(key: dict[str, Any]) -> bytes:
    """SPKI DER (EC) or RSAPublicKey DER (RSA)."""
    if "public" not in key:
        raise KnownCode("NO_PUBLIC_KEY")
    public = key["public"]
    made = encode_rsa_public_key(public) if public.key_type == KeyType.RSA else encode_ec_public_key(public)
    return bytes(made)


def _modulus(key: dict[str, Any]) -> bytes:
    return bytes((key.get("public") or key["private"])[Attribute.MODULUS])


def _read(item: Any, name: str) -> Any:
    try:
        return item[Attribute[name]]
    except (PKCS11Error, ValueError):
        return None
