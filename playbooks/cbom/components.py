"""One node of the estate as one CycloneDX component or service."""

from __future__ import annotations

from typing import Any, Literal

from cyclonedx.model.component import ComponentType
from cyclonedx.model.crypto import CryptoAssetType, RelatedCryptoMaterialState, RelatedCryptoMaterialType

from playbooks.cbom.algorithms import traits
from playbooks.cbom.properties import Entry, Properties, identity, property_of, to_properties
from playbooks.cryptoperiods import protecting_since, rotate_by
from playbooks.estate import CertificateEntry, ConsumerEntry, DatasetEntry, KeyEntry
from playbooks.keys import KeyFacts, KeyState

Spec = Literal["1.6", "1.7"]

_STATES = {
    KeyState.PRE_ACTIVE: RelatedCryptoMaterialState.PRE_ACTIVATION,
    KeyState.ACTIVE: RelatedCryptoMaterialState.ACTIVE,
    KeyState.SUSPENDED: RelatedCryptoMaterialState.SUSPENDED,
    KeyState.DEACTIVATED: RelatedCryptoMaterialState.DEACTIVATED,
    KeyState.COMPROMISED: RelatedCryptoMaterialState.COMPROMISED,
    KeyState.DESTROYED: RelatedCryptoMaterialState.DESTROYED,
    KeyState.DESTROYED_COMPROMISED: RelatedCryptoMaterialState.DESTROYED,
}
"""CycloneDX has no destroyed-compromised; the property ``keyquell:state`` has the exact word."""


def algorithm_ref(facts: KeyFacts) -> str:
    """Where the algorithm of a key stands: RSA for signing is another primitive than RSA for encryption."""
    return f"algorithm:{facts.algorithm}/{facts.purpose}"


def algorithm_component(name: str, facts: KeyFacts, spec: Spec) -> dict[str, Any]:
    """The algorithm that was read; a name that is not understood stands without primitive and level."""
    found = traits(facts.algorithm, facts.purpose)
    properties = dict(found.properties)
    if found.curve and spec == "1.7":  # 1.7 deprecates "curve" for an enumeration
        properties["ellipticCurve"] = f"{'nist' if found.curve.startswith('P-') else 'other'}/{found.curve}"
    elif found.curve:
        properties["curve"] = found.curve
    crypto = {"assetType": CryptoAssetType.ALGORITHM.value, "algorithmProperties": properties}
    return _asset(name, facts.algorithm, crypto)


def component(name: str, kind: str, entry: Entry, facts: KeyFacts | None) -> dict[str, Any]:
    """A node under the ``bom-ref`` name; a consumer becomes a service, which has no type."""
    match entry:
        case ConsumerEntry():
            made: dict[str, Any] = {"bom-ref": name, "name": entry.name}
        case DatasetEntry():
            data = {"type": "dataset"} | ({"classification": entry.classification} if entry.classification else {})
            made = {"type": ComponentType.DATA.value, "bom-ref": name, "name": str(entry.ref), "data": [data]}
        case CertificateEntry():
            made = _asset(name, str(entry.ref), _certificate(entry))
        case KeyEntry():
            made = _asset(name, str(entry.ref), _material(_key(entry, facts)))
        case _:
            tokens = entry.ref.scheme.endswith("-token")
            kind_of = RelatedCryptoMaterialType.TOKEN if tokens else RelatedCryptoMaterialType.CREDENTIAL
            made = _asset(name, str(entry.ref), _material({"type": kind_of.value, "id": identity(entry)}))
    made["properties"] = to_properties(kind, entry) + (_observed(facts) if facts else [])
    return made


def _asset(name: str, shown: str, crypto: dict[str, Any]) -> dict[str, Any]:
    kind = ComponentType.CRYPTOGRAPHIC_ASSET.value
    return {"type": kind, "bom-ref": name, "name": shown, "cryptoProperties": crypto}


def _material(properties: dict[str, Any]) -> dict[str, Any]:
    kind = CryptoAssetType.RELATED_CRYPTO_MATERIAL.value
    return {"assetType": kind, "relatedCryptoMaterialProperties": properties}


def _certificate(entry: CertificateEntry) -> dict[str, Any]:
    properties = {"subjectName": entry.subject} if entry.subject else {}
    properties["subjectPublicKeyRef"] = f"key:{entry.key}"
    return {"assetType": CryptoAssetType.CERTIFICATE.value, "certificateProperties": properties}


def _key(entry: KeyEntry, facts: KeyFacts | None) -> dict[str, Any]:
    """Type, state, size and algorithm are the backend's to say; a key that nobody has read is just a key."""
    since, due = protecting_since(entry, facts), rotate_by(entry, facts)
    dates = {"activationDate": since, "expirationDate": due}
    known = {name: f"{day.isoformat()}T00:00:00Z" for name, day in dates.items() if day is not None}
    if facts is None:
        return known | {"type": RelatedCryptoMaterialType.KEY.value, "id": str(entry.ref)}
    found = traits(facts.algorithm, facts.purpose)
    known |= {"type": found.material.value, "id": str(entry.ref), "state": _STATES[facts.state].value}
    return known | {"algorithmRef": algorithm_ref(facts)} | ({"size": found.size} if found.size else {})


def _observed(facts: KeyFacts) -> Properties:
    said = {"state": facts.state.value, "active-version": facts.version, "read-at": facts.read_at.isoformat()}
    if facts.extractable is not None:
        said["extractable"] = str(facts.extractable).lower()
    return [property_of(name, value) for name, value in said.items() if value]
