"""Accepted signatures that the signer never made are found once, also when files are torn or late."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from integrations.detectors.signature_log import SignatureLog
from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPKI = "ab" * 32


def verified(artifact: str, *, seconds_ago: float = 60, accepted: bool = True, key: str = SPKI) -> str:
    at = (NOW - timedelta(seconds=seconds_ago)).isoformat()
    entry = {"at": at, "artifact_sha256": artifact, "key_spki_sha256": key, "accepted": accepted, "source": "gate"}
    return json.dumps(entry) + "\n"


def signed(artifact: str) -> str:
    return json.dumps({"at": NOW.isoformat(), "artifact_sha256": artifact}) + "\n"


class Files:
    """The two logs and the detector that reads them."""

    def __init__(self, directory: Path) -> None:
        self.log, self.ledger = directory / "verifications.ndjson", directory / "ledger.ndjson"
        options = {"verifications": str(self.log), "ledger": str(self.ledger), "grace_seconds": 5}
        self.detector = SignatureLog.open("gate", options, clock=lambda: NOW)

    def poll(self, cursor: str = "") -> tuple[list[str], str]:
        signals, after = self.detector.poll(cursor=cursor)
        return [signal.external_id for signal in signals], after


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Empty logs."""
    return Files(tmp_path)


def test_a_forged_signature_is_a_signal_of_its_key(files: Files) -> None:
    """The signal names the key by its SPKI hash and the first forged artifact."""
    files.ledger.write_text(signed("good"))
    files.log.write_text(verified("good") + verified("forged"))
    signals, _ = files.detector.poll(cursor="")
    assert [(s.kind, s.external_id, s.fingerprints[0].value) for s in signals] == [
        (ExposureKind.SIGNING_KEY, "forged", SPKI)
    ]
    assert signals[0].first_seen == NOW - timedelta(seconds=60)


def test_a_key_is_reported_once(files: Files) -> None:
    """The cursor remembers the keys already reported; another key is another signal."""
    files.log.write_text(verified("forged-1") + verified("forged-2"))
    found, cursor = files.poll()
    assert found == ["forged-1"]
    with files.log.open("a") as stream:
        stream.write(verified("forged-3") + verified("forged-4", key="cd" * 32))
    assert files.poll(cursor)[0] == ["forged-4"]


def test_signatures_of_the_owner_and_rejected_ones_are_no_signals(files: Files) -> None:
    """A rejected forgery did no harm, and the owner's signatures are in the ledger."""
    files.ledger.write_text(signed("good"))
    files.log.write_text(verified("good") + verified("rejected", accepted=False))
    assert files.poll()[0] == []


def test_a_torn_line_waits_for_its_end(files: Files) -> None:
    """A line that is being written is read when it is whole."""
    line = verified("forged")
    files.log.write_text(line[:20])
    found, cursor = files.poll()
    assert found == []
    files.log.write_text(line)
    assert files.poll(cursor)[0] == ["forged"]


def test_a_young_entry_waits_for_the_ledger(files: Files) -> None:
    """The signer's ledger may be written a moment after the artifact is verified."""
    files.log.write_text(verified("late", seconds_ago=1))
    found, cursor = files.poll()
    assert found == []
    files.ledger.write_text(signed("late"))
    assert files.poll(cursor)[0] == []


def test_garbage_is_skipped(files: Files) -> None:
    """A broken line hides nothing that follows it."""
    files.log.write_text("not json\n[1]\n" + verified("forged"))
    assert files.poll()[0] == ["forged"]


def test_missing_files_are_no_findings(files: Files) -> None:
    """Nothing was verified yet."""
    assert files.poll()[0] == []


def test_a_foreign_cursor_and_a_bad_option_are_named(files: Files) -> None:
    """Both are the caller's mistakes."""
    with pytest.raises(InvalidInput):
        files.poll("page-2")
    with pytest.raises(InvalidInput, match="detector 'gate', field 'ledger'"):
        SignatureLog.open("gate", {"verifications": "v"}, clock=lambda: NOW)
