"""TruffleHog findings become signals, and their secrets stay at the door."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from findings_abuse import FUZZ, mutations, only_expected
from hypothesis import given
from hypothesis import strategies as st

from integrations.detectors.trufflehog import TruffleHog
from integrations.fingerprints import installation_key, keyed, spki_sha256
from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind

ACCESS_KEY, SECRET_KEY = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def now() -> datetime:
    return datetime.now(UTC)


def finding(raw: str, **changes: Any) -> dict[str, Any]:
    git = {
        "commit": "5b4f0c6",
        "file": "deploy/settings.py",
        "repository": "https://bot:hunter2@git.example/deploy",
        "timestamp": "2026-01-05 09:12:44 +0000",
        "line": 12,
    }
    body = {"DetectorName": "CustomRegex", "Verified": False, "Raw": raw, "RawV2": "", "Redacted": ""}
    return {"SourceMetadata": {"Data": {"Git": git}}, "SourceName": "trufflehog - git", **body, **changes}


def aws_finding(**changes: Any) -> dict[str, Any]:
    pair = f"{ACCESS_KEY}:{SECRET_KEY}"
    return finding(ACCESS_KEY, DetectorName="AWS", Verified=True, RawV2=pair, Redacted=ACCESS_KEY, **changes)


def write(path: Path, *findings: dict[str, Any]) -> Path:
    with path.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(each) + "\n" for each in findings)
    return path


def opened(tmp_path: Path) -> TruffleHog:
    options = {"folder": str(tmp_path), "key_file": str(tmp_path / "state" / "installation.key")}
    return TruffleHog.open("scanner", options, clock=now)


def private_pem() -> str:
    private = ec.generate_private_key(ec.SECP256R1())
    form, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, form, bare).decode()


def test_an_aws_key_is_recognised_by_its_id(tmp_path: Path) -> None:
    """The id is no secret and names the credential; the secret beside it goes nowhere."""
    write(tmp_path / "a.json", aws_finding())
    (signal,), _ = opened(tmp_path).poll(cursor="")
    assert [(each.kind, each.value) for each in signal.fingerprints] == [("access-key-id", ACCESS_KEY)]
    assert signal.kind is ExposureKind.CREDENTIAL
    assert signal.confidence == 0.95
    assert signal.first_seen == datetime(2026, 1, 5, 9, 12, 44, tzinfo=UTC)
    assert SECRET_KEY not in signal.model_dump_json()


def test_a_pin_is_only_ever_hashed_with_the_installations_key(tmp_path: Path) -> None:
    """Low-entropy secrets could be guessed from a plain hash, also from the finding's id."""
    write(tmp_path / "a.json", finding("472913"), finding("472913", SourceMetadata={"Data": {"Git": {"file": "b"}}}))
    one, two = opened(tmp_path).poll(cursor="")[0]
    expected = keyed("472913", installation_key(tmp_path / "state" / "installation.key"))
    assert one.fingerprints == two.fingerprints == (expected,)
    assert one.external_id != two.external_id
    assert "472913" not in one.model_dump_json()


def test_a_private_key_is_recognised_by_its_public_half(tmp_path: Path) -> None:
    """The SPKI hash finds the key in the estate; a key that cannot be read is reported all the same."""
    pem = private_pem()
    broken = pem[:60] + "AAAA" + pem[64:]
    write(tmp_path / "a.json", finding(pem, DetectorName="PrivateKey"), finding(broken, DetectorName="PrivateKey"))
    whole, torn = opened(tmp_path).poll(cursor="")[0]
    assert (whole.kind, whole.fingerprints) == (ExposureKind.SIGNING_KEY, (spki_sha256(pem),))
    assert torn.kind is ExposureKind.KEY_MATERIAL
    assert "PRIVATE KEY" not in whole.model_dump_json() + torn.model_dump_json()


def test_a_line_that_is_still_being_written_is_read_later(tmp_path: Path) -> None:
    """Half a line is no finding and no loss."""
    path = write(tmp_path / "a.json", aws_finding())
    line = json.dumps(finding("472913"))
    with path.open("a", encoding="utf-8") as stream:
        stream.write(line[:40])
    detector = opened(tmp_path)
    first, cursor = detector.poll(cursor="")
    with path.open("a", encoding="utf-8") as stream:
        stream.write(line[40:] + "\n")
    second, cursor = detector.poll(cursor=cursor)
    third, _ = detector.poll(cursor=cursor)
    assert [len(each) for each in (first, second, third)] == [1, 1, 0]


def test_the_same_secret_at_the_same_place_is_one_finding(tmp_path: Path) -> None:
    """A scanner that runs every hour reports it every hour."""
    write(tmp_path / "a.json", aws_finding(), aws_finding())
    write(tmp_path / "b.jsonl", aws_finding())
    one, *rest = opened(tmp_path).poll(cursor="")[0]
    assert {each.external_id for each in rest} <= {one.external_id}


def test_a_replaced_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    """Rotation of the findings hides nothing."""
    path = write(tmp_path / "a.json", aws_finding())
    detector = opened(tmp_path)
    _, cursor = detector.poll(cursor="")
    write(tmp_path / ".next", finding("472913")).replace(path)
    (signal,), _ = detector.poll(cursor=cursor)
    assert signal.fingerprints[0].kind == "secret-hmac"


def test_no_secret_reaches_logs_or_places(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A broken line is named by its offset; a login in an address and the secret in a path are hidden."""
    path = write(tmp_path / "a.json", finding("472913", SourceMetadata={"Data": {"Git": {"file": "pin-472913.txt"}}}))
    with path.open("a", encoding="utf-8") as stream:
        stream.write('{"Raw": "472913"\n')
    write(path, aws_finding())
    with caplog.at_level(logging.DEBUG):
        signals, cursor = opened(tmp_path).poll(cursor="")
    told = caplog.text + cursor + "".join(signal.model_dump_json() for signal in signals)
    assert len(signals) == 2
    assert "472913" not in told
    assert "hunter2" not in told


def test_without_a_key_a_pin_is_reported_but_not_recognised(tmp_path: Path) -> None:
    """No fingerprint is better than one that gives the PIN away."""
    write(tmp_path / "a.json", finding("472913"))
    (signal,), _ = TruffleHog.open("scanner", {"folder": str(tmp_path)}, clock=now).poll(cursor="")
    assert signal.fingerprints == ()


def test_the_installation_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    """The same key again, mode 0600; one that others may read is refused."""
    path = tmp_path / "state" / "installation.key"
    key = installation_key(path)
    assert (len(key), installation_key(path), path.stat().st_mode & 0o777) == (32, key, 0o600)
    path.chmod(0o644)
    with pytest.raises(InvalidInput, match="may be read by others"):
        installation_key(path)


def test_a_whole_output_is_read_at_once(tmp_path: Path) -> None:
    """As `keyquell ingest` does: the same findings with the same ids as from a file."""
    place = write(tmp_path / "a.json", aws_finding(), finding("472913"), aws_finding())
    detector = opened(tmp_path)
    polled, _ = detector.poll(cursor="")
    assert [each.external_id for each in detector.read(place.read_bytes())] == [each.external_id for each in polled]


@pytest.mark.parametrize("line", [b'{"Raw": "472913"', b"[1]", b"7", b"[" * 9999, b'{"Raw": "\\ud800"}'])
def test_a_broken_line_is_named_and_stops_no_poll(tmp_path: Path, line: bytes) -> None:
    """Read by a person it is refused by its number; in a file that is polled it is passed over."""
    document = json.dumps(aws_finding()).encode() + b"\n" + line + b"\n"
    (tmp_path / "a.json").write_bytes(document)
    detector = opened(tmp_path)
    assert len(detector.poll(cursor="")[0]) == 1
    with pytest.raises(InvalidInput, match="line 2") as caught:
        detector.read(document)
    assert "472913" not in str(caught.value)


def test_a_detector_without_a_place_reads_but_cannot_be_polled() -> None:
    """A forgotten folder must not look like silence."""
    with pytest.raises(InvalidInput, match="neither file nor folder"):
        TruffleHog.open("scanner", {}, clock=now).poll(cursor="")


@FUZZ
@given(document=mutations(aws_finding()) | st.binary(max_size=200))
def test_a_strange_finding_breaks_nothing(document: bytes) -> None:
    """Signals or a refusal, and never the secret."""
    reader = TruffleHog.open("scanner", {}, clock=now)
    assert SECRET_KEY not in "".join(each.model_dump_json() for each in only_expected(lambda: reader.read(document)))


@pytest.mark.parametrize("options", [{"file": "a", "folder": "b"}, {"folder": "a", "colour": "red"}])
def test_wrong_options_are_refused(options: dict[str, str]) -> None:
    """One source, no unknown field."""
    with pytest.raises(InvalidInput, match="detector 'scanner', field"):
        TruffleHog.open("scanner", options, clock=now)
