"""Entries of the estate as CycloneDX properties of the namespace ``keyquell:``, and back without loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from playbooks.errors import InvalidInput
from playbooks.estate import CertificateEntry, ConsumerEntry, CredentialEntry, DatasetEntry, KeyEntry
from playbooks.exposures import Fingerprint

Entry = KeyEntry | DatasetEntry | CredentialEntry | CertificateEntry | ConsumerEntry
Properties = list[dict[str, str]]

NAMESPACE = "keyquell:"
CONTACT = "contact:"
KINDS: Mapping[str, type[Entry]] = {
    "key": KeyEntry,
    "dataset": DatasetEntry,
    "credential": CredentialEntry,
    "certificate": CertificateEntry,
    "consumer": ConsumerEntry,
}
"""The kinds of node, in the order of the document."""
OBSERVED = ("state", "extractable", "active-version", "read-at")
"""What a backend said when it was read; no part of the estate."""
_REFERENCES = {"secret": ("env:", "file:"), "credential_file": ("file:",)}


def property_of(name: str, value: str) -> dict[str, str]:
    """One property in our namespace."""
    return {"name": NAMESPACE + name, "value": value}


def identity(entry: Entry) -> str:
    """The URI, or the name of a consumer."""
    return entry.name if isinstance(entry, ConsumerEntry) else str(entry.ref)


def to_properties(kind: str, entry: Entry) -> Properties:
    """Every field that is not left at its default; lists keep their order.

    Raises InvalidInput when a field for a reference to a secret holds something else; the message does not repeat it.
    """
    found = [property_of("kind", kind)]
    for name, field in type(entry).model_fields.items():
        value = getattr(entry, name)
        if field.is_required() or value != field.default:
            _check_reference(entry, name, value)
            found += [property_of(_outside(name), text) for text in _texts(value)]
    return found


def from_properties(properties: Iterable[Mapping[str, str]], *, place: str) -> Entry | None:
    """The entry that a component or service carries; None when it carries none of ours.

    Raises InvalidInput naming the component (``place``) and the property.
    """
    given: dict[str, list[str]] = {}
    for each in properties:
        if each.get("name", "").startswith(NAMESPACE):
            given.setdefault(each["name"].removeprefix(NAMESPACE), []).append(each.get("value", ""))
    if not given:
        return None
    kind = _one("kind", given.pop("kind", []), place)
    model = KINDS.get(kind)
    if model is None:
        raise InvalidInput(f"{place}: keyquell:kind is none of {', '.join(KINDS)}.")
    try:
        return model.model_validate(_fields(model, given, place))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = _outside(str(first["loc"][0])) if first["loc"] else kind
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise InvalidInput(f"{place}: keyquell:{name}: {reason}") from None  # the cause would repeat what was given


def _fields(model: type[BaseModel], given: Mapping[str, Sequence[str]], place: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    known = {_outside(name): name for name in model.model_fields}
    for outside, values in given.items():
        if outside in OBSERVED:
            continue
        name = known.get(outside)
        if name is None:
            raise InvalidInput(f"{place}: there is no property keyquell:{outside[:60]} of this kind.")
        if name == "fingerprints":
            found[name] = [dict(zip(("kind", "value"), each.partition("=")[::2], strict=True)) for each in values]
        elif model.model_fields[name].default == ():
            found[name] = list(values)
        else:
            found[name] = _one(outside, values, place)
    return found


def _one(name: str, values: Sequence[str], place: str) -> str:
    if len(values) != 1:
        raise InvalidInput(f"{place}: keyquell:{name} is given {len(values)} times, and must be given once.")
    return values[0]


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, tuple) else (value,)
    return [f"{each.kind}={each.value}" if isinstance(each, Fingerprint) else str(each) for each in values]


def _check_reference(entry: Entry, name: str, value: Any) -> None:
    if (schemes := _REFERENCES.get(name)) and not str(value).startswith(schemes):
        raise InvalidInput(
            f"{identity(entry)}: {name} is no reference ({' or '.join(schemes)}…), so that it may be a secret.",
            hint="Put the secret into a file or a variable, and its reference into the estate. Nothing was written.",
        )


def _outside(name: str) -> str:
    return name.replace("_", "-")
