"""Which exposure a fingerprint names, and to which case it belongs."""

from __future__ import annotations

import pytest
from cases import KMS, NOW, SIGNING, TRANSIT

from playbooks.estate import Estate
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.matching import match, same_case
from playbooks.refs import CertificateRef

SERIAL = "7a-2f-00-00-00-00-00-01"
CERTIFIED = SIGNING.model_copy(
    update={
        "certificates": (
            SIGNING.certificates[0].model_copy(update={"ref": CertificateRef.parse(f"openbao-pki:vault/pki/{SERIAL}")}),
        )
    }
)
CHECKED = KMS.model_copy(
    update={
        "keys": (
            KMS.keys[0].model_copy(update={"fingerprints": (Fingerprint(kind="key-check-value", value="c0ffee"),)}),
        )
    }
)


def signal(kind: ExposureKind, *fingerprints: tuple[str, str], number: str = "1") -> Signal:
    return Signal(
        source="trail",
        external_id=number,
        kind=kind,
        fingerprints=tuple(Fingerprint(kind=name, value=value) for name, value in fingerprints),
        summary="seen",
        observed_at=NOW,
        confidence=0.9,
    )


@pytest.mark.parametrize(
    ("estate", "found", "target", "via"),
    [
        pytest.param(
            KMS, signal(ExposureKind.CREDENTIAL, ("access-key-id", "AKIAEXAMPLE1")),
            "aws-iam:prod/svc-app/AKIAEXAMPLE1", "", id="an access key by its id",
        ),
        pytest.param(
            KMS, signal(ExposureKind.CREDENTIAL, ("secret-hmac", "ab" * 32)),
            "aws-iam:prod/svc-app/AKIAEXAMPLE1", "", id="a secret by its keyed hash",
        ),
        pytest.param(
            TRANSIT, signal(ExposureKind.CREDENTIAL, ("token-accessor", "acc1")),
            "openbao-token:vault/acc1", "", id="a token by its accessor",
        ),
        pytest.param(
            TRANSIT,
            signal(
                ExposureKind.KEY_MATERIAL, ("key-uri", "openbao:vault/transit/orders"), ("token-accessor", "acc1")
            ),
            "openbao:vault/transit/orders", "openbao-token:vault/acc1", id="a key and the token that took it out",
        ),
        pytest.param(
            TRANSIT, signal(ExposureKind.KEY_MATERIAL, ("token-accessor", "acc1")),
            "openbao:vault/transit/orders", "openbao-token:vault/acc1", id="a key only through its token",
        ),
        pytest.param(
            SIGNING, signal(ExposureKind.SIGNING_KEY, ("spki-sha256", "cd" * 32)),
            "pkcs11:token=sign-hsm;object=release", "", id="a signing key by its public half",
        ),
        pytest.param(
            CERTIFIED, signal(ExposureKind.SIGNING_KEY, ("certificate-serial", "7a2f000000000001")),
            "pkcs11:token=sign-hsm;object=release", "", id="a signing key by its certificate's serial",
        ),
        pytest.param(
            CERTIFIED, signal(ExposureKind.SIGNING_KEY, ("certificate-serial", "00:7A:2F:00:00:00:00:00:01")),
            "pkcs11:token=sign-hsm;object=release", "", id="a serial as openssl prints it",
        ),
        pytest.param(
            CHECKED, signal(ExposureKind.KEY_MATERIAL, ("key-check-value", "c0ffee"), ("key-check-value", "123456")),
            "aws-kms:prod/k1", "", id="a key by one of its two check values",
        ),
    ],
)  # fmt: skip
def test_a_fingerprint_names_what_is_exposed(estate: Estate, found: Signal, target: str, via: str) -> None:
    """Equality of fingerprints decides target and way out; wrapped keys stay unknown."""
    (exposure,) = match(found, estate)
    assert (exposure.target, exposure.via) == (target, via)
    assert exposure.wrapped_keys_readable is None
    assert exposure.evidence[0] == "trail:1"


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(signal(ExposureKind.CREDENTIAL, ("access-key-id", "AKIAOTHER")), id="an unknown access key"),
        pytest.param(signal(ExposureKind.CREDENTIAL, ("access-key-id", "svc-app")), id="a user is not a key id"),
        pytest.param(signal(ExposureKind.CREDENTIAL, ("token-accessor", "AKIAEXAMPLE1")), id="another kind of name"),
        pytest.param(signal(ExposureKind.KEY_MATERIAL, ("key-uri", "not a uri")), id="a broken key URI"),
        pytest.param(signal(ExposureKind.CREDENTIAL), id="no fingerprint at all"),
        pytest.param(signal(ExposureKind.KEY_MATERIAL, ("key-check-value", "c0ffef")), id="another check value"),
    ],
)
def test_what_nothing_matches_exposes_nothing(found: Signal) -> None:
    """Nothing is guessed: a person has to look at it."""
    assert match(found, KMS) == ()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("7a2f000000000002", id="another serial"),
        pytest.param("7a2f", id="a serial so short that many issuers gave it out"),
        pytest.param("0" * 40, id="no serial"),
        pytest.param("", id="an empty one"),
    ],
)
def test_a_serial_names_one_certificate_or_none(value: str) -> None:
    """Serials are unique only within an issuer, unless they are random and long."""
    found = signal(ExposureKind.SIGNING_KEY, ("certificate-serial", value))
    assert match(found, CERTIFIED) == match(found, SIGNING) == ()


def test_a_serial_says_nothing_about_a_credential() -> None:
    """A certificate's serial never names a credential, even if the detector took it for one."""
    assert match(signal(ExposureKind.CREDENTIAL, ("certificate-serial", "7a2f000000000001")), CERTIFIED) == ()


def test_a_leaked_secret_that_looks_like_a_key_is_the_credential_it_is() -> None:
    """A token of 64 hexadecimal digits could be a key; the inventory knows that it is a credential's secret."""
    found = signal(ExposureKind.KEY_MATERIAL, ("key-check-value", "123456"), ("secret-hmac", "ab" * 32))
    (exposure,) = match(found, KMS)
    assert (exposure.kind, exposure.target) == (ExposureKind.CREDENTIAL, "aws-iam:prod/svc-app/AKIAEXAMPLE1")


def test_a_second_finding_about_the_same_thing_joins_its_case() -> None:
    """Two detectors that see one leak make one incident."""
    first = signal(ExposureKind.CREDENTIAL, ("access-key-id", "AKIAEXAMPLE1"))
    second = signal(ExposureKind.CREDENTIAL, ("secret-hmac", "ab" * 32), number="2")
    assert same_case(second, match(first, KMS), found=match(second, KMS))


def test_the_token_through_which_a_key_got_out_joins_the_case_of_the_key() -> None:
    """The way out belongs to the case even when it is reported by itself."""
    first = signal(ExposureKind.KEY_MATERIAL, ("key-uri", "openbao:vault/transit/orders"), ("token-accessor", "acc1"))
    second = signal(ExposureKind.CREDENTIAL, ("token-accessor", "acc1"), number="2")
    assert same_case(second, match(first, TRANSIT), found=match(second, TRANSIT))


def test_an_unrelated_finding_stays_outside() -> None:
    """What shares nothing opens its own case."""
    first = signal(ExposureKind.CREDENTIAL, ("access-key-id", "AKIAEXAMPLE1"))
    second = signal(ExposureKind.CREDENTIAL, ("token-accessor", "acc1"), number="2")
    assert not same_case(second, match(first, KMS), found=match(second, TRANSIT))
