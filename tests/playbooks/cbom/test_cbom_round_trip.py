"""From estate to bill of materials and back: nothing is lost, nothing is invented, every document keeps the schema."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothetical_estates import NOW, estates, fact, known

from integrations.cyclonedx_text import parse, text
from playbooks.cbom.differences import differences
from playbooks.cbom.reading import read
from playbooks.cbom.writing import write
from playbooks.errors import InvalidInput
from playbooks.estate import CertificateEntry, ConsumerEntry, CredentialEntry, DatasetEntry, Estate, KeyEntry
from playbooks.keys import KeyFacts, KeyState
from playbooks.refs import CertificateRef, CredentialRef, DatasetRef, KeyRef

KEK, KEY, SIGNER = (KeyRef.parse(f"aws-kms:cloud/{name}") for name in ("kek", "k1", "signer"))
DATA, USER = DatasetRef.parse("files:docs/invoices"), CredentialRef.parse("aws-iam:cloud/svc/AKIA1")
CERTIFICATE = CertificateRef.parse("openbao-pki:vault/pki/7a")
SHOP = Estate(
    keys=(KeyEntry(ref=KEK), KeyEntry(ref=KEY, wrapped_by=KEK, owner="storage"), KeyEntry(ref=SIGNER, purpose="sign")),
    datasets=(DatasetEntry(ref=DATA, key=KEY, envelope="esdk", classification="personal", readers=(USER,)),),
    credentials=(CredentialEntry(ref=USER, consumer="svc", may_use=(KEY,), secret="file:/run/old"),),
    certificates=(CertificateEntry(ref=CERTIFICATE, key=SIGNER, subject="CN=shop"),),
    consumers=(ConsumerEntry(name="svc", owner="shop", uses=(KEY,), datasets=(DATA,)),),
    contacts={"managers": "dana"},
)


def part(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The component or service of this bom-ref."""
    return next(each for each in document["components"] + document["services"] if each["bom-ref"] == name)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(known())
def test_any_estate_comes_back_as_it_was_through_text_and_schema(made: tuple[Estate, dict[str, KeyFacts]]) -> None:
    """All kinds, all edges, also to what is not listed; in both versions; whatever was read of the keys."""
    estate, facts = made
    for spec in ("1.6", "1.7"):
        document = parse(text(write(estate, facts, at=NOW, version="1", spec=spec)).encode())
        reading = read(document)
        assert reading.estate == estate
        assert (reading.unconnected, reading.with_values) == ((), ())
        assert reading.unknown_references == ()
        assert not differences(estate, reading.estate)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(estates())
def test_the_same_content_at_the_same_time_is_the_same_document(estate: Estate) -> None:
    """Serial number and time come from content and clock; another time is another serial number."""
    one, two = (write(estate, {}, at=NOW) for _ in range(2))
    later = write(estate, {}, at=datetime(2026, 11, 30, tzinfo=UTC))
    assert one == two
    assert one["metadata"]["timestamp"] == "2026-11-29T12:00:00Z"
    assert one["serialNumber"] != later["serialNumber"]


def test_the_edges_are_dependencies_too() -> None:
    """For tools that know nothing of our properties."""
    facts = {str(SIGNER): fact(SIGNER, "EC-P256", purpose="sign")}
    found = {each["ref"]: each for each in write(SHOP, facts, at=NOW)["dependencies"]}
    needs = {name: set(each["dependsOn"]) for name, each in found.items() if "dependsOn" in each}
    assert needs == {
        f"key:{KEY}": {f"key:{KEK}"},
        f"dataset:{DATA}": {f"key:{KEY}"},
        f"credential:{USER}": {f"key:{KEY}", f"dataset:{DATA}"},
        f"certificate:{CERTIFICATE}": {f"key:{SIGNER}"},
        "consumer:svc": {f"credential:{USER}", f"key:{KEY}", f"dataset:{DATA}"},
    }
    assert found[f"key:{SIGNER}"]["provides"] == ["algorithm:EC-P256/sign"]
    assert "algorithm:EC-P256/sign" in found


def test_of_a_key_that_nobody_has_read_only_the_reference_is_told() -> None:
    """No type, state, size or algorithm is guessed from its purpose or backend."""
    document = write(SHOP, {}, at=NOW)
    material = part(document, f"key:{SIGNER}")["cryptoProperties"]["relatedCryptoMaterialProperties"]
    assert material == {"type": "key", "id": str(SIGNER)}
    assert not [each for each in document["components"] if each["bom-ref"].startswith("algorithm:")]
    certificate = part(document, f"certificate:{CERTIFICATE}")["cryptoProperties"]["certificateProperties"]
    assert certificate == {"subjectName": "CN=shop", "subjectPublicKeyRef": f"key:{SIGNER}"}


def test_the_cryptoperiod_is_told_where_the_age_is_known() -> None:
    """From the inventory here; its end is by when the key is to be rotated."""
    entry = KeyEntry(ref=KEY, protecting_since=date(2026, 1, 1), cryptoperiod_days=90)
    document = write(Estate(keys=(entry,)), {}, at=NOW)
    material = part(document, f"key:{KEY}")["cryptoProperties"]["relatedCryptoMaterialProperties"]
    assert material["activationDate"] == "2026-01-01T00:00:00Z"
    assert material["expirationDate"] == "2026-04-01T00:00:00Z"


def test_what_was_read_is_told_with_the_exact_state_beside_the_nearest_one() -> None:
    """CycloneDX has no word for destroyed-compromised."""
    facts = {str(KEY): fact(KEY, state=KeyState.DESTROYED_COMPROMISED, extractable=False)}
    document = write(SHOP, facts, at=NOW)
    found = part(document, f"key:{KEY}")
    assert found["cryptoProperties"]["relatedCryptoMaterialProperties"] == {
        "type": "secret-key",
        "id": str(KEY),
        "state": "destroyed",
        "size": 256,
        "algorithmRef": "algorithm:AES-256-GCM/encrypt",
    }
    said = {each["name"]: each["value"] for each in found["properties"]}
    assert said["keyquell:state"] == "destroyed-compromised"
    assert said["keyquell:extractable"] == "false"
    assert part(document, "algorithm:AES-256-GCM/encrypt")["cryptoProperties"]["algorithmProperties"] == {
        "primitive": "ae",
        "parameterSetIdentifier": "256",
        "mode": "gcm",
        "classicalSecurityLevel": 256,
        "nistQuantumSecurityLevel": 5,
    }


def test_a_consumer_of_thousands_of_keys_comes_back() -> None:
    """Its properties and dependencies are longer than any other list may be."""
    keys = tuple(KeyRef.parse(f"aws-kms:cloud/k{number}") for number in range(2_500))
    estate = Estate(keys=tuple(KeyEntry(ref=each) for each in keys), consumers=(ConsumerEntry(name="all", uses=keys),))
    assert read(parse(text(write(estate, {}, at=NOW)).encode())).estate == estate


def test_what_is_listed_twice_is_refused() -> None:
    """A bom-ref must be unique, and which of the two is true is for a person to say."""
    with pytest.raises(InvalidInput, match=f"keys: {KEY} is listed twice"):
        write(Estate(keys=(KeyEntry(ref=KEY, owner="a"), KeyEntry(ref=KEY, owner="b"))), {}, at=NOW)


@pytest.mark.parametrize(
    "estate",
    [
        SHOP.model_copy(update={"credentials": (CredentialEntry(ref=USER, consumer="svc", secret="canary-4711"),)}),
        SHOP.model_copy(update={"consumers": (ConsumerEntry(name="svc", credential_file="canary-4711"),)}),
    ],
    ids=["of a credential", "of a consumer"],
)
def test_a_secret_in_the_place_of_a_reference_is_not_written(estate: Estate) -> None:
    """Nor does the message repeat it."""
    with pytest.raises(InvalidInput, match="is no reference") as caught:
        write(estate, {}, at=NOW)
    assert "canary-4711" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_two_estates_are_compared_by_what_is_new_different_and_missing() -> None:
    """Contacts too; neither is changed."""
    other = Estate(
        keys=(KeyEntry(ref=KEK, owner="you"), KeyEntry(ref=KeyRef.parse("aws-kms:cloud/k9"))),
        contacts={"managers": "erin", "privacy": "fay"},
    )
    found = differences(SHOP, other)
    assert found.new == (("key", "aws-kms:cloud/k9"), ("contact", "privacy"))
    assert [(each.kind, each.name, each.fields) for each in found.different] == [
        ("key", str(KEK), ("owner",)),
        ("contact", "managers", ("who",)),
    ]
    assert ("consumer", "svc") in found.missing
    assert ("certificate", str(CERTIFICATE)) in found.missing


def test_the_text_is_ascii_so_that_a_terminal_obeys_nothing_in_it() -> None:
    """Owners are written by others."""
    estate = Estate(keys=(KeyEntry(ref=KEY, owner="\x1b[2J\x7f\u202eé"),))
    made = text(write(estate, {}, at=NOW))
    assert all(each == "\n" or " " <= each < "\x7f" for each in made)
    assert read(json.loads(made)).estate == estate
