"""Bills of materials that others wrote: what is not ours is named, what is wrong is refused with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothetical_estates import NOW

from integrations.cyclonedx_text import parse
from playbooks.cbom.reading import Reading, Unconnected, read
from playbooks.cbom.writing import write
from playbooks.errors import InvalidInput
from playbooks.estate import Estate, KeyEntry
from playbooks.refs import KeyRef

KEY = "aws-kms:cloud/k1"
CANARY = "canary-9d2f"


def document(*components: dict[str, Any], spec: str = "1.6", **more: Any) -> dict[str, Any]:
    """A document of somebody else, as the schema wants it."""
    return {"bomFormat": "CycloneDX", "specVersion": spec, "version": 1, "components": list(components)} | more


def loaded(given: dict[str, Any]) -> Reading:
    """Through text and schema."""
    return read(parse(json.dumps(given).encode()))


def ours(*pairs: tuple[str, str], ref: str = "a") -> dict[str, Any]:
    """A component that carries properties of ours."""
    properties = [{"name": f"keyquell:{name}", "value": value} for name, value in pairs]
    return {"type": "data", "bom-ref": ref, "name": ref, "properties": properties}


def key(name: str, **material: Any) -> dict[str, Any]:
    """A key of somebody else."""
    crypto = {
        "assetType": "related-crypto-material",
        "relatedCryptoMaterialProperties": {"type": "secret-key"} | material,
    }
    return {"type": "cryptographic-asset", "bom-ref": name, "name": name, "cryptoProperties": crypto}


ALGORITHM = {
    "type": "cryptographic-asset",
    "bom-ref": "alg",
    "name": "AES-256-GCM",
    "cryptoProperties": {"assetType": "algorithm", "algorithmProperties": {"primitive": "ae"}},
}


def test_keys_and_certificates_of_others_are_asked_about_not_guessed() -> None:
    """Also when their name looks like a URI of ours, and when they stand inside another component."""
    certificate = {
        "type": "cryptographic-asset",
        "name": "shop.example",
        "cryptoProperties": {"assetType": "certificate", "certificateProperties": {"subjectName": "CN=shop"}},
    }
    inside = {"type": "application", "bom-ref": "app", "name": "app", "components": [key(KEY, algorithmRef="alg")]}
    found = loaded(document(inside, ALGORITHM, certificate, key("token", type="token")))
    assert found.unconnected == (
        Unconnected(KEY, KEY, "secret-key", "AES-256-GCM"),
        Unconnected("shop.example", "shop.example", "certificate"),
    )
    assert found.estate == Estate()


def test_a_value_is_pointed_at_and_never_read() -> None:
    """It may be the key itself."""
    found = loaded(document(key("k", value=CANARY), ALGORITHM))
    assert found.with_values == ("k",)
    assert CANARY not in repr(found)


def test_references_to_what_is_not_there_are_named() -> None:
    """Of dependencies, algorithms and certificates; a link into another document is none of them."""
    certificate = {
        "type": "cryptographic-asset",
        "bom-ref": "c",
        "name": "c",
        "cryptoProperties": {
            "assetType": "certificate",
            "certificateProperties": {"subjectPublicKeyRef": "no-key", "signatureAlgorithmRef": "alg"},
        },
    }
    depends = [
        {"ref": "k", "dependsOn": ["c", "no-one", "urn:cdx:f08a6ccd-4dce-4759-bd84-c626675d60a7/1"]},
        {"ref": "no-who"},
    ]
    secured = key("k", algorithmRef="no-alg", securedBy={"mechanism": "HSM", "algorithmRef": "no-wrap"})
    found = loaded(document(secured, certificate, ALGORITHM, dependencies=depends))
    assert found.unknown_references == ("no-alg", "no-key", "no-one", "no-who", "no-wrap")


@pytest.mark.parametrize("spec", ["1.4", "1.5", "1.6", "1.7"])
def test_properties_of_ours_are_read_in_every_version(spec: str) -> None:
    """Versions before 1.6 have no cryptographic assets, but properties."""
    part = ours(("kind", "key"), ("ref", KEY), ("purpose", "sign"), ("owner", "storage"))
    if spec == "1.4":
        part["type"] = "library"
    found = loaded(document(part, spec=spec))
    assert found.estate.keys == (KeyEntry(ref=KeyRef.parse(KEY), purpose="sign", owner="storage"),)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([ours(("kind", "key"), ("ref", f"pkcs11:token=t;object=o?pin-value={CANARY}"))], "must not carry a PIN"),
        ([ours(("kind", "key"), ("ref", f"https:{CANARY}"))], "a: keyquell:ref: KeyRef"),
        ([ours(("kind", "key"))], "a: keyquell:ref: Field required"),
        ([ours(("kind", CANARY), ("ref", KEY))], "a: keyquell:kind is none of key, dataset"),
        ([ours(("ref", KEY))], "a: keyquell:kind is given 0 times"),
        ([ours(("kind", "key"), ("ref", KEY), ("ref", KEY))], "a: keyquell:ref is given 2 times"),
        ([ours(("kind", "key"), ("ref", KEY), ("colour", CANARY))], "a: there is no property keyquell:colour"),
        ([ours(("kind", "key"), ("ref", KEY), ("purpose", CANARY))], "a: keyquell:purpose: Input should be"),
        ([ours(("kind", "key"), ("ref", KEY), ("fingerprints", CANARY))], "a: keyquell:fingerprints"),
        ([ours(("kind", "certificate"), ("ref", "openbao-pki:v/p/1"), ("key", KEY))], "which keys does not list"),
        ([key("same"), key("same", id="x")], "the bom-ref 'same' stands for more than one component"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_place(parts: list[dict[str, Any]], reason: str) -> None:
    """And what was given is not repeated, here or in the error behind it."""
    with pytest.raises(InvalidInput, match=reason) as caught:
        loaded(document(*parts))
    assert CANARY not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value}"


def test_the_root_component_counts_as_there() -> None:
    """Dependencies begin at it."""
    root = {"component": {"type": "application", "bom-ref": "root", "name": "shop"}}
    found = loaded(document(key("k"), metadata=root, dependencies=[{"ref": "root", "dependsOn": ["k"]}]))
    assert found.unknown_references == ()
    with pytest.raises(InvalidInput, match="'root' stands for more"):
        loaded(document(key("root"), metadata=root))


def test_an_entry_listed_twice_in_a_changed_document_is_refused() -> None:
    """Two components under two names that carry one URI."""
    given = write(Estate(keys=(KeyEntry(ref=KeyRef.parse(KEY)),)), {}, at=NOW)
    given["components"].append(given["components"][0] | {"bom-ref": "other"})
    with pytest.raises(InvalidInput, match=f"key {KEY} stands in 'other' and before"):
        loaded(given)
