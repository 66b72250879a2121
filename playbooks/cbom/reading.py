"""From a CycloneDX document to an estate: what is ours is read, what is not is named, nothing is guessed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cyclonedx.model.crypto import CryptoAssetType, RelatedCryptoMaterialType
from pydantic import ValidationError

from playbooks.cbom.properties import CONTACT, KINDS, NAMESPACE, Entry, from_properties, identity
from playbooks.errors import InvalidInput
from playbooks.estate import Estate

_KEYS = {
    each.value
    for each in (
        RelatedCryptoMaterialType.KEY,
        RelatedCryptoMaterialType.PRIVATE_KEY,
        RelatedCryptoMaterialType.PUBLIC_KEY,
        RelatedCryptoMaterialType.SECRET_KEY,
    )
}
_LINK = "urn:cdx:"
"""A BOM-Link leads into another document on purpose."""


@dataclass(frozen=True, slots=True)
class Unconnected:
    """A key or certificate without a KeyRef of ours: a person must say which connection holds it."""

    place: str
    name: str
    kind: str
    algorithm: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a document says.

    ``unknown_references`` point at nothing in it; ``with_values`` are the places that carry material, which was not
    read and may be a secret.
    """

    estate: Estate
    unconnected: tuple[Unconnected, ...]
    unknown_references: tuple[str, ...]
    with_values: tuple[str, ...]


def read(document: Mapping[str, Any]) -> Reading:
    """Read a document that the schema has accepted.

    Raises InvalidInput naming the component: two have one ``bom-ref``, a property of ours cannot be understood, or an
    entry names a key or consumer that the document does not have.
    """
    parts = list(_parts(document))
    names = _names(document, parts)
    found: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
    loose = []
    for place, part in parts:
        entry = from_properties(part.get("properties", ()), place=place)
        if entry is not None:
            kind = _kind(entry)
            if identity(entry) in found[kind]:
                raise InvalidInput(f"the {kind} {identity(entry)} stands in {place!r} and before.")
            found[kind][identity(entry)] = entry
        elif kind := _unconnected_kind(part):
            loose.append(Unconnected(place, part["name"], kind, _algorithm(part, names)))
    return Reading(
        _estate(found, document),
        tuple(loose),
        tuple(sorted({each for each in _references(document, parts) if each not in names and not _is_link(each)})),
        tuple(place for place, part in parts if "value" in _material(part)),
    )


def _parts(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every component and service with its place, also nested ones, in the order of the document."""
    waiting = [*reversed(document.get("services", [])), *reversed(document.get("components", []))]
    while waiting:
        part = waiting.pop()
        yield part.get("bom-ref") or part["name"], part
        waiting += [*reversed(part.get("services", [])), *reversed(part.get("components", []))]


def _names(document: Mapping[str, Any], parts: list[tuple[str, Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    root = document.get("metadata", {}).get("component")
    named = [part for part in [*([root] if root else []), *(part for _, part in parts)] if part.get("bom-ref")]
    if twice := [name for name, count in Counter(part["bom-ref"] for part in named).items() if count > 1]:
        raise InvalidInput(
            f"the bom-ref {twice[0][:120]!r} stands for more than one component.",
            hint="Each must be unique within the document (CycloneDX, refType).",
        )
    return {part["bom-ref"]: part for part in named}


def _material(part: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = part.get("cryptoProperties", {}).get("relatedCryptoMaterialProperties", {})
    return found


def _unconnected_kind(part: Mapping[str, Any]) -> str:
    """The kind of a key or certificate of somebody else; "" for everything else."""
    if part.get("cryptoProperties", {}).get("assetType") == CryptoAssetType.CERTIFICATE.value:
        return CryptoAssetType.CERTIFICATE.value
    kind = str(_material(part).get("type", ""))
    return kind if kind in _KEYS else ""


def _algorithm(part: Mapping[str, Any], names: Mapping[str, Mapping[str, Any]]) -> str:
    return str(names.get(_material(part).get("algorithmRef", ""), {}).get("name", ""))


def _kind(entry: Entry) -> str:
    return next(kind for kind, model in KINDS.items() if isinstance(entry, model))


def _references(document: Mapping[str, Any], parts: list[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    for each in document.get("dependencies", ()):
        yield from (each["ref"], *each.get("dependsOn", ()), *each.get("provides", ()))
    for _, part in parts:
        material = _material(part)
        certificate = part.get("cryptoProperties", {}).get("certificateProperties", {})
        for given in (
            material.get("algorithmRef"),
            material.get("securedBy", {}).get("algorithmRef"),
            certificate.get("signatureAlgorithmRef"),
            certificate.get("subjectPublicKeyRef"),
        ):
            if given:
                yield given


def _is_link(reference: str) -> bool:
    return reference.startswith(_LINK)


def _estate(found: Mapping[str, Mapping[str, Entry]], document: Mapping[str, Any]) -> Estate:
    given = document.get("metadata", {}).get("properties", ())
    start = NAMESPACE + CONTACT
    contacts = {
        each["name"].removeprefix(start): each.get("value", "")
        for each in given
        if each.get("name", "").startswith(start)
    }
    try:
        return Estate.model_validate(
            {f"{kind}s": tuple(each.values()) for kind, each in found.items()} | {"contacts": contacts}
        )
    except ValidationError as error:
        reason = str(error.errors(include_input=False, include_url=False)[0]["msg"]).removeprefix("Value error, ")
        raise InvalidInput(f"the entries do not fit together: {reason}.") from None  # the cause repeats all entries
