"""What an exposure reaches, why, and what is said not to be known."""

from __future__ import annotations

import json

from cases import KMS, SIGNING, TRANSIT

from playbooks.blast_radius import BlastRadius, Graph, Reached, blast_radius, to_text
from playbooks.estate import Estate
from playbooks.exposures import Exposure, ExposureKind


def exposed(target: str, *, kind: ExposureKind = ExposureKind.CREDENTIAL, via: str = "") -> Exposure:
    return Exposure(kind=kind, target=target, via=via, confidence=0.9)


def names(found: tuple[Reached, ...]) -> list[str]:
    return [each.name for each in found]


def test_a_credential_reaches_its_keys_their_data_and_who_uses_them() -> None:
    """The path says each hop in words."""
    radius = blast_radius(KMS, [exposed("aws-iam:prod/svc-app/AKIAEXAMPLE1")])
    assert names(radius.keys) == ["aws-kms:prod/k1"]
    assert names(radius.datasets) == ["files:docs/invoices", "postgres:shop/public.orders.card"]
    assert names(radius.consumers) == ["app"]
    assert names(radius.credentials) == ["aws-iam:prod/svc-app/AKIAEXAMPLE1"]
    assert radius.datasets[1].path == (
        "aws-iam:prod/svc-app/AKIAEXAMPLE1 is exposed (credential).",
        "aws-iam:prod/svc-app/AKIAEXAMPLE1 may use aws-kms:prod/k1.",
        "aws-kms:prod/k1 protects postgres:shop/public.orders.card.",
    )


def test_the_way_out_reaches_the_other_credentials_of_its_consumer() -> None:
    """Whoever took one credential of a service may have taken the others, but not those of other services."""
    key = exposed("openbao:vault/transit/orders", kind=ExposureKind.KEY_MATERIAL, via="openbao-token:vault/acc1")
    radius = blast_radius(TRANSIT, [key])
    assert names(radius.credentials) == ["openbao-token:vault/acc1", "postgres-role:shop/orders"]


def test_a_signing_key_reaches_its_certificates() -> None:
    """Trust hangs on the certificate."""
    key = exposed("pkcs11:token=sign-hsm;object=release", kind=ExposureKind.SIGNING_KEY)
    assert names(blast_radius(SIGNING, [key]).certificates) == ["openbao-pki:vault/pki/7a-2f"]


def test_what_is_not_known_is_said() -> None:
    """Holes of the inventory within reach are part of the answer."""
    unknown = blast_radius(KMS, [exposed("aws-iam:prod/svc-app/AKIAEXAMPLE1")]).unknown
    assert "backup retention of postgres:shop/public.orders.card is not known" in unknown
    assert "postgres:shop/public.orders.card has no owner" in unknown


def test_a_key_without_data_and_an_unlisted_target_are_unknown() -> None:
    """Nothing found is not the same as nothing there."""
    estate = Estate.model_validate({"keys": [{"ref": "aws-kms:prod/lonely", "owner": "x"}]})
    lonely = exposed("aws-kms:prod/lonely", kind=ExposureKind.KEY_MATERIAL)
    assert "key aws-kms:prod/lonely has no dataset listed" in blast_radius(estate, [lonely]).unknown
    stranger = blast_radius(estate, [exposed("aws-iam:prod/nobody/AKIAX")])
    assert stranger.unknown == ("aws-iam:prod/nobody/AKIAX is not in the estate: what it reaches is not known",)
    assert "Nothing in the estate is reached." in to_text(stranger)


def test_wrapping_is_followed_and_a_circle_ends() -> None:
    """Keys that wrap each other are visited once."""
    a, b = "openbao:vault/transit/a", "openbao:vault/transit/b"
    estate = Estate.model_validate({"keys": [{"ref": a, "wrapped_by": b}, {"ref": b, "wrapped_by": a}]})
    assert names(blast_radius(estate, [exposed(a, kind=ExposureKind.KEY_MATERIAL)]).keys) == [a, b]


def test_the_answer_survives_json_and_reads_as_text() -> None:
    """Machines and people get the same."""
    radius = blast_radius(Graph(KMS), [exposed("aws-iam:prod/svc-app/AKIAEXAMPLE1")])
    assert BlastRadius.model_validate(json.loads(radius.model_dump_json())) == radius
    assert [str(key) for key in radius.key_refs] == ["aws-kms:prod/k1"]
    assert "datasets (2)" in to_text(radius)
