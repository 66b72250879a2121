"""The record's storage on both databases: compare-and-append, durable, in order, clear when it cannot."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integrations.records.sql import SqlRecords
from playbooks.errors import Conflict, InvalidInput, RecordError
from playbooks.ports import KeepsRecords
from playbooks.record import GENESIS, EventKind, verify_chain

ID = "KQ-20260301-test"
NOTE = {"text": "n", "by": "tester"}


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def incident() -> str:
    return ID


@pytest.fixture
def records(url: str) -> Iterator[SqlRecords]:
    opened = SqlRecords.open(url, clock=now)
    yield opened
    opened.close()


def test_appended_events_form_a_chain(records: SqlRecords, incident: str) -> None:
    """What append returned is what events gives back, and it verifies up to the head."""
    assert isinstance(records, KeepsRecords)
    assert (records.events(incident), records.head(incident)) == ([], GENESIS)
    made = []
    for number in range(5):
        body = {"text": f"é \u0000 {number}", "by": "tester", "nested": {"b": [1, 2.5, None], "a": True}}
        made.append(records.append(incident, kind=EventKind.NOTE, body=body, expected_head=records.head(incident)))
    assert records.events(incident) == made
    assert verify_chain(records.events(incident), expected_head=records.head(incident)) == made[-1].hash
    assert incident in records.incidents()


def test_a_stale_head_is_a_conflict(records: SqlRecords, incident: str) -> None:
    """Nothing is written when another writer came first, or the head was never the head."""
    first = records.append(incident, kind=EventKind.NOTE, body=NOTE, expected_head=GENESIS)
    for stale in (GENESIS, "f" * 64, ""):
        with pytest.raises(Conflict):
            records.append(incident, kind=EventKind.NOTE, body=NOTE, expected_head=stale)
    assert records.events(incident) == [first]


def test_what_was_appended_is_there_after_opening_again(url: str, incident: str) -> None:
    """The events do not live in the process."""
    one = SqlRecords.open(url, clock=now)
    made = one.append(incident, kind=EventKind.NOTE, body=NOTE, expected_head=GENESIS)
    one.close()
    two = SqlRecords.open(url, clock=now)
    assert two.events(incident) == [made]
    two.close()


def test_time_never_runs_backwards(url: str, incident: str) -> None:
    """A clock that stands still or is set back yields later stamps all the same."""
    ticks = iter([now(), now() - timedelta(hours=1), now() - timedelta(hours=2)])
    records = SqlRecords.open(url, clock=lambda: next(ticks))
    stamps = [records.append_next(incident, kind=EventKind.NOTE, body=NOTE).at for _ in range(3)]
    assert stamps == sorted(set(stamps))
    records.close()


def test_racing_threads_lose_no_event_and_double_none(records: SqlRecords, incident: str) -> None:
    """append_next from eight threads: every text is there once, and the chain holds."""

    def write(thread: int) -> None:
        for number in range(10):
            body = {"text": f"{thread}-{number}", "by": "tester"}
            records.append_next(incident, kind=EventKind.NOTE, body=body, attempts=1000)

    threads = [threading.Thread(target=write, args=(each,)) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = records.events(incident)
    verify_chain(events)
    assert sorted(str(each.body["text"]) for each in events) == sorted(f"{t}-{n}" for t in range(8) for n in range(10))


def test_one_of_two_racing_claims_wins(records: SqlRecords, incident: str) -> None:
    """The same expected head from many threads: exactly one append succeeds."""
    won: list[int] = []

    def claim(thread: int) -> None:
        try:
            records.append(incident, kind=EventKind.NOTE, body=NOTE, expected_head=GENESIS)
        except Conflict:
            return
        won.append(thread)

    threads = [threading.Thread(target=claim, args=(each,)) for each in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == len(records.events(incident)) == 1


def _open_and_write(url: str, incident: str, count: int) -> None:
    records = SqlRecords.open(url, clock=now)
    for _ in range(count):
        records.append_next(incident, kind=EventKind.NOTE, body=NOTE, attempts=1000)
    records.close()


def test_processes_open_and_write_a_new_database_together(url: str, incident: str) -> None:
    """Schema creation and appends are safe when several processes begin at the same moment."""
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_open_and_write, args=(url, incident, 10)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    records = SqlRecords.open(url, clock=now)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert len(records.events(incident)) == 30
    verify_chain(records.events(incident))
    records.close()


def test_a_reader_follows_until_the_incident_is_closed(records: SqlRecords, incident: str) -> None:
    """follow yields what is there and what comes, then ends; events_after gives the rest of a record."""
    for text in ("one", "two"):
        records.append_next(incident, kind=EventKind.NOTE, body={"text": text, "by": "t"})

    def finish() -> None:
        records.append_next(incident, kind=EventKind.NOTE, body={"text": "three", "by": "t"})
        records.append_next(incident, kind=EventKind.CLOSED, body={"by": "t", "outcome": "recovered"})

    later = threading.Timer(0.1, finish)
    later.start()
    seen = [event.seq for event in records.follow(incident, after_seq=0, every_seconds=0.02)]
    later.join()
    assert seen == [1, 2, 3]
    assert [event.seq for event in records.events_after(incident, 2)] == [3]
    assert [event.seq for event in records.follow("KQ-unknown", for_seconds=0)] == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"text": "n"}, "by"),
        ({"text": "n", "by": "t", "extra": float("nan")}, "not JSON"),
        ({"text": "n", "by": "t", "extra": [float("inf")]}, "not JSON"),
        ({"text": "n", "by": "t", "extra": b"bytes"}, "not JSON"),
        ({"text": "n", "by": "t", "extra": datetime(2026, 1, 1, tzinfo=UTC)}, "not JSON"),
        ({"text": "n", "by": "t", "extra": 2**70}, "not JSON"),
        ({"text": "\ud800", "by": "t"}, "not JSON"),
    ],
)
def test_a_body_that_is_not_json_or_lacks_a_field_is_refused(tmp_path: Path, body: dict[str, Any], why: str) -> None:
    """Nothing is written that could not be read back the same."""
    records = SqlRecords.open(f"sqlite:///{tmp_path / 'r.db'}", clock=now)
    with pytest.raises(RecordError, match=why):
        records.append(ID, kind=EventKind.NOTE, body=body, expected_head=GENESIS)
    assert records.events(ID) == []
    records.close()


@pytest.mark.parametrize("wrong", ["", "../x", "a b", "x" * 65])
def test_an_odd_incident_id_is_refused(tmp_path: Path, wrong: str) -> None:
    """Ids become file names and URLs."""
    records = SqlRecords.open(f"sqlite:///{tmp_path / 'r.db'}", clock=now)
    with pytest.raises(RecordError, match="not an incident id"):
        records.append(wrong, kind=EventKind.NOTE, body=NOTE, expected_head=GENESIS)
    records.close()


@pytest.mark.parametrize("wrong", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "nonsense"])
def test_a_database_that_cannot_keep_records_is_refused(wrong: str) -> None:
    """In memory, of another kind, or not a URL."""
    with pytest.raises(InvalidInput, match="records"):
        SqlRecords.open(wrong, clock=now)


def test_the_url_may_be_a_secret_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL with a password stays out of the settings."""
    monkeypatch.setenv("RECORDS_URL", f"sqlite:///{tmp_path / 'r.db'}")
    SqlRecords.open("env:RECORDS_URL", clock=now).close()
    assert (tmp_path / "r.db").exists()


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    """The error says what to do and does not repeat the login."""
    with pytest.raises(RecordError, match="does not answer") as caught:
        SqlRecords.open("postgresql://kq:canary-secret@127.0.0.1:1/keyquell", clock=now)
    assert "canary" not in str(caught.value)


def test_a_damaged_database_says_so(tmp_path: Path) -> None:
    """A file that is no database any more is not written to."""
    path = tmp_path / "r.db"
    path.write_bytes(b"this is not a database" * 400)
    with pytest.raises(RecordError, match="damaged"):
        SqlRecords.open(f"sqlite:///{path}", clock=now)


def test_an_altered_row_is_found(tmp_path: Path) -> None:
    """A changed body breaks the chain; a body that is no JSON cannot even be read."""
    path = tmp_path / "r.db"
    records = SqlRecords.open(f"sqlite:///{path}", clock=now)
    for _ in range(3):
        records.append_next(ID, kind=EventKind.NOTE, body=NOTE)
    with sqlite3.connect(path) as connection:
        connection.execute("""UPDATE events SET body='{"by":"x","text":"forged"}' WHERE seq=1""")
    with pytest.raises(RecordError, match="event 1 was altered"):
        verify_chain(records.events(ID))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE events SET body='{' WHERE seq=1")
    with pytest.raises(RecordError, match=r"event 1 of .* cannot be read"):
        records.events(ID)
    records.close()


def test_a_full_disk_says_so_and_keeps_what_was_there(tmp_path: Path) -> None:
    """SQLite's page limit stands in for the disk's end: same error code, same way out."""
    records = SqlRecords.open(f"sqlite:///{tmp_path / 'r.db'}", clock=now)
    kept = records.append_next(ID, kind=EventKind.NOTE, body=NOTE)
    with records.engine.connect() as connection:  # the limit belongs to one connection of the pool
        connection.exec_driver_sql("PRAGMA max_page_count=1")
    with pytest.raises(RecordError, match="disk is full"):
        records.append_next(ID, kind=EventKind.NOTE, body={"text": "x" * 100_000, "by": "t"})
    assert records.events(ID) == [kept]
    records.close()


def test_a_database_in_a_missing_folder_says_so(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(RecordError, match="cannot be opened"):
        SqlRecords.open(f"sqlite:///{tmp_path / 'missing' / 'r.db'}", clock=now)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="needs a read-only mount")
def test_a_read_only_database_says_so(tmp_path: Path) -> None:
    """Evidence on a read-only mount can be read, and is not written."""
    source, view = tmp_path / "source", tmp_path / "view"
    source.mkdir(), view.mkdir()
    records = SqlRecords.open(f"sqlite:///{source / 'r.db'}", clock=now)
    records.append_next(ID, kind=EventKind.NOTE, body=NOTE)
    records.close()
    if subprocess.run(["mount", "--bind", "-o", "ro", source, view], check=False, capture_output=True).returncode:
        pytest.skip("this machine does not allow mounts")
    try:
        with pytest.raises(RecordError, match=r"read-only|cannot be opened"):
            SqlRecords.open(f"sqlite:///{view / 'r.db'}", clock=now).append_next(ID, kind=EventKind.NOTE, body=NOTE)
    finally:
        subprocess.run(["umount", view], check=True)
