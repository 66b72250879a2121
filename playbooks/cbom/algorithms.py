"""What an algorithm's name says: primitive, parameter set, strength.  A name that is not understood says nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from cyclonedx.model.crypto import CryptoPrimitive, RelatedCryptoMaterialType

Purpose = Literal["encrypt", "sign"]

_AES = re.compile(r"AES-(128|192|256)(?:-(GCM|CCM|CBC|CTR|ECB))?")
_RSA = re.compile(r"RSA-(\d{3,5})")
_CURVE = re.compile(r"EC-P-?(224|256|384|521)")
_EDWARDS = re.compile(r"Ed(25519|448)")
_ML = re.compile(r"ML-(DSA|KEM)-(\d+)")
_SLH = re.compile(r"SLH-DSA-((?:SHA2|SHAKE)-(128|192|256)[sf])")
_HMAC = re.compile(r"HMAC-(\d{3})")

_AES_CATEGORY = {128: 1, 192: 3, 256: 5}
"""NIST's security categories are defined by the search for an AES key (FIPS 203, appendix A)."""
_MODULUS = {1024: 80, 2048: 112, 3072: 128, 4096: 152, 6144: 176, 7680: 192, 8192: 200, 15360: 256}
"""Bits of strength: SP 800-57 Part 1 r5, table 2; 4096, 6144 and 8192 by SP 800-56B r2, table 4."""
_ON_CURVE = {224: 112, 256: 128, 384: 192, 521: 256}
_EDWARDS_BITS = {"25519": (256, 128), "448": (456, 224)}
"""Bits of the private key (RFC 8032) and of strength (SP 800-186, table 1)."""
_ML_CATEGORY = {"44": 2, "65": 3, "87": 5, "512": 1, "768": 3, "1024": 5}
"""FIPS 204 table 1 and FIPS 203 table 2."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of an algorithm by its name.

    ``size`` is the key's in bits; ``properties`` are CycloneDX's ``algorithmProperties``; ``curve`` is the name of a
    NIST or Edwards curve.  None, "" and absent: not known.
    """

    material: RelatedCryptoMaterialType = RelatedCryptoMaterialType.KEY
    size: int | None = None
    curve: str = ""
    properties: dict[str, Any] = field(default_factory=dict)


def traits(algorithm: str, purpose: Purpose) -> Traits:
    """What the name of an algorithm (as in ``KeyFacts.algorithm``) and the key's purpose tell."""
    for pattern, read in _READERS:
        if found := pattern.fullmatch(algorithm):
            return read(found, purpose)
    return Traits()


def _aes(found: re.Match[str], _purpose: Purpose) -> Traits:
    bits, mode = int(found[1]), found[2]
    primitive = CryptoPrimitive.AE if mode in ("GCM", "CCM") else CryptoPrimitive.BLOCK_CIPHER
    properties = {
        "primitive": primitive.value,
        "parameterSetIdentifier": found[1],
        "classicalSecurityLevel": bits,
        "nistQuantumSecurityLevel": _AES_CATEGORY[bits],
    }
    if mode:
        properties["mode"] = mode.lower()
    return Traits(RelatedCryptoMaterialType.SECRET_KEY, bits, properties=properties)


def _rsa(found: re.Match[str], purpose: Purpose) -> Traits:
    primitive = CryptoPrimitive.SIGNATURE if purpose == "sign" else CryptoPrimitive.PKE
    bits = int(found[1])
    return _private(bits, primitive, parameters=found[1], classical=_MODULUS.get(bits))


def _curve(found: re.Match[str], purpose: Purpose) -> Traits:
    primitive = CryptoPrimitive.SIGNATURE if purpose == "sign" else None
    bits = int(found[1])
    return _private(bits, primitive, parameters=found[1], classical=_ON_CURVE[bits], curve=f"P-{bits}")


def _edwards(found: re.Match[str], _purpose: Purpose) -> Traits:
    bits, strength = _EDWARDS_BITS[found[1]]
    return _private(bits, CryptoPrimitive.SIGNATURE, parameters=found[1], classical=strength, curve=found[0])


def _ml(found: re.Match[str], _purpose: Purpose) -> Traits:
    primitive = CryptoPrimitive.SIGNATURE if found[1] == "DSA" else CryptoPrimitive.KEM
    return _private(None, primitive, parameters=found[2], category=_ML_CATEGORY.get(found[2]))


def _slh(found: re.Match[str], _purpose: Purpose) -> Traits:
    return _private(None, CryptoPrimitive.SIGNATURE, parameters=found[1], category=_AES_CATEGORY[int(found[2])])


def _hmac(found: re.Match[str], _purpose: Purpose) -> Traits:
    properties = {"primitive": CryptoPrimitive.MAC.value, "parameterSetIdentifier": found[1]}
    return Traits(RelatedCryptoMaterialType.SECRET_KEY, int(found[1]), properties=properties)


def _private(
    bits: int | None,
    primitive: CryptoPrimitive | None,
    *,
    parameters: str,
    classical: int | None = None,
    category: int | None = 0,
    curve: str = "",
) -> Traits:
    """Half of a pair; category 0 (none is met) is what Shor's algorithm leaves of RSA and curves."""
    known = {
        "primitive": primitive.value if primitive else None,
        "parameterSetIdentifier": parameters,
        "classicalSecurityLevel": classical,
        "nistQuantumSecurityLevel": category,
    }
    properties = {name: value for name, value in known.items() if value is not None}
    return Traits(RelatedCryptoMaterialType.PRIVATE_KEY, bits, curve, properties)


_READERS = (
    (_AES, _aes),
    (_RSA, _rsa),
    (_CURVE, _curve),
    (_EDWARDS, _edwards),
    (_ML, _ml),
    (_SLH, _slh),
    (_HMAC, _hmac),
)
