"""The service works with its own credentials, checks what it reads, and follows its settings."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attack_site import requests, running, wait_for

from integrations.data.files import FileStore
from integrations.keys.openbao import OpenBaoTransit
from integrations.secrets import read_secret, write_secret
from playbooks.refs import DatasetRef, KeyRef
from simulations.journals import WorkloadConfig, WorkloadDataset
from simulations.lab.openbao import OpenBaoServer
from simulations.seed import object_ids, plaintext
from simulations.verification import histories, holds

DOCS = DatasetRef.parse("files:docs/notes")
OBJECTS = 6


def now() -> datetime:
    return datetime.now(UTC)


def health(config: WorkloadConfig) -> dict[str, Any]:
    path = config.settings / "health.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"ok": False, "key": ""}
    return found


def backend(vault: OpenBaoServer) -> OpenBaoTransit:
    options = vault.connection_options()
    return OpenBaoTransit.open("vault", {"url": options["url"], "token": options["token"]}, clock=now)


@pytest.fixture
def service(vault: OpenBaoServer, tmp_path: Path) -> WorkloadConfig:
    """A service over a seeded folder, with a token and a settings file of its own."""
    name = f"notes-{tmp_path.name.replace('_', '-')[-24:]}"
    key = KeyRef.parse(f"openbao:vault/{vault.create_transit_key(name)}")
    store = FileStore.open("docs", {"root": tmp_path}, clock=now)
    keys = backend(vault)
    for name in object_ids(OBJECTS):
        store.write(DOCS, name, plaintext(5, str(DOCS), name), key=key, keys=lambda _key: keys)
    token = tmp_path / "token"
    write_secret(f"file:{token}", read_secret(vault.connection_options()["token"]))
    settings = tmp_path / "svc"
    settings.mkdir()
    (settings / "settings.json").write_text("{}", encoding="utf-8")
    return WorkloadConfig(
        kind="data-service",
        consumer="svc",
        seed=5,
        rate_per_second=50,
        write_share=0.4,
        journal=tmp_path / "workload.ndjson",
        settings=settings,
        credential_file=token,
        connections={
            "docs": {"type": "files", "root": str(tmp_path)},
            "vault": {"type": "openbao", "url": vault.url, "token": f"file:{token}"},
        },
        datasets=(WorkloadDataset(ref=DOCS, envelope="esdk", key=key, objects=OBJECTS),),
    )


def test_its_journal_tells_what_every_object_must_hold(
    service: WorkloadConfig, vault: OpenBaoServer, tmp_path: Path
) -> None:
    """After a while of reads and writes, each object holds the last version that the journal confirms."""
    with running("simulations.workload", service, tmp_path):
        wait_for(lambda: len(requests(service)) > 60 and health(service)["ok"])
    made = requests(service)
    assert all(request.ok for request in made), [each.code for each in made if not each.ok]
    assert {request.operation for request in made} == {"read", "write"}
    store, keys, expected = FileStore.open("docs", {"root": tmp_path}, clock=now), backend(vault), histories(made)
    for name in object_ids(OBJECTS):
        content = store.read(DOCS, name, candidates=[service.datasets[0].key], keys=lambda _key: keys)
        assert holds(5, str(DOCS), name, content, expected[(str(DOCS), name)])


def test_it_writes_under_the_key_that_its_settings_name(
    service: WorkloadConfig, vault: OpenBaoServer, tmp_path: Path
) -> None:
    """After a change of settings its health starts over and then names the new key; both keys are still read."""
    new = f"openbao:vault/{vault.create_transit_key(f'new-{tmp_path.name[-20:]}'.replace('_', '-'))}"
    with running("simulations.workload", service, tmp_path):
        wait_for(lambda: health(service)["ok"])
        write_secret(f"file:{service.settings / 'settings.json'}", json.dumps({f"key.{DOCS}": new}))
        wait_for(lambda: health(service)["ok"] and health(service)["key"] == new)
        before = len(requests(service))
        wait_for(lambda: len(requests(service)) > before + 30)
    assert all(request.ok for request in requests(service))
    store, keys = FileStore.open("docs", {"root": tmp_path}, clock=now), backend(vault)
    written = next(each.object for each in reversed(requests(service)) if each.operation == "write")
    assert store.read(DOCS, written, candidates=[KeyRef.parse(new)], keys=lambda _key: keys)


def test_a_lost_credential_is_downtime_until_the_new_one_is_delivered(service: WorkloadConfig, tmp_path: Path) -> None:
    """Failures carry the backend's code, health says no; a replaced credential file is used at once."""
    good = read_secret(f"file:{service.credential_file}")
    with running("simulations.workload", service, tmp_path):
        wait_for(lambda: health(service)["ok"])
        write_secret(f"file:{service.credential_file}", "s.not-a-token")
        wait_for(lambda: not health(service)["ok"] and not requests(service)[-1].ok)
        write_secret(f"file:{service.credential_file}", good)
        wait_for(lambda: health(service)["ok"] and requests(service)[-1].ok)
    failures = [request for request in requests(service) if not request.ok]
    assert failures
    assert all(request.code for request in failures)
    assert "s.not-a-token" not in service.journal.read_text(encoding="utf-8")


def test_a_wrong_plaintext_is_a_failure(service: WorkloadConfig, vault: OpenBaoServer, tmp_path: Path) -> None:
    """A valid object that holds something else is ``corrupt``, not a success."""
    store, keys = FileStore.open("docs", {"root": tmp_path}, clock=now), backend(vault)
    for name in object_ids(OBJECTS):
        store.write(DOCS, name, b"something else", key=service.datasets[0].key, keys=lambda _key: keys)
    reading = service.model_copy(update={"write_share": 0.0})
    with running("simulations.workload", reading, tmp_path):
        wait_for(lambda: len(requests(reading)) > 5)
    assert {request.code for request in requests(reading)} == {"corrupt"}
