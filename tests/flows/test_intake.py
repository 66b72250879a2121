"""From signals to incidents: one leak is one case, whoever dies or comes twice, and approvals bind to one plan."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from small_shop import Shop

from flows import intake
from flows.engine import contain_now
from flows.wiring import Wiring
from integrations.records.sql import SqlRecords
from integrations.secrets import write_secret
from playbooks.errors import InvalidInput
from playbooks.exposures import Exposure, ExposureKind, Fingerprint, Signal
from playbooks.record import EventKind, verify_chain

pytestmark = pytest.mark.lab


@pytest.fixture
def wiring(shop: Shop) -> Iterator[Wiring]:
    """The composition root of a shop that nothing has happened to."""
    with shop.wiring() as opened:
        yield opened


def finding(access_key_id: str, external_id: str = "f-1", source: str = "scanner") -> Signal:
    """A scanner's finding of this access key."""
    return Signal(
        source=source,
        external_id=external_id,
        kind=ExposureKind.CREDENTIAL,
        fingerprints=(Fingerprint(kind="access-key-id", value=access_key_id),),
        summary="An access key stands in a public place.",
        observed_at=datetime.now(UTC),
        confidence=0.9,
    )


def declared(wiring: Wiring, shop: Shop) -> str:
    """A person says that the shop's access key is out."""
    exposure = Exposure(kind=ExposureKind.CREDENTIAL, target=shop.credential, confidence=1.0)
    return intake.declare(wiring, [exposure], requested_by="alice")


def test_what_matches_nothing_opens_nothing(wiring: Wiring) -> None:
    """A key of somebody else is not our incident."""
    assert intake.ingest(wiring, finding("AKIASOMEBODYELSE")) is None
    assert list(wiring.records.incidents()) == []


def test_the_same_finding_twice_is_one_incident_and_one_event(wiring: Wiring, shop: Shop) -> None:
    """Detectors read again after a crash: nothing is written the second time."""
    signal = finding(shop.user.access_key_id)
    first = intake.ingest(wiring, signal)
    assert first is not None
    events = wiring.records.events(first)
    assert intake.ingest(wiring, signal) == first
    assert wiring.records.events(first) == events


def test_another_finding_of_the_same_leak_joins(wiring: Wiring, shop: Shop) -> None:
    """Two detectors, one case, both in its record, and the plan stays."""
    first = intake.ingest(wiring, finding(shop.user.access_key_id))
    assert first is not None
    plan = wiring.incident(first).plan
    assert intake.ingest(wiring, finding(shop.user.access_key_id, "t-9", source="trail")) == first
    joined = wiring.incident(first)
    assert [each.source for each in joined.signals] == ["scanner", "trail"]
    assert joined.plan == plan
    assert list(wiring.records.incidents()) == [first]


def test_many_detectors_at_once_open_one_incident(wiring: Wiring, shop: Shop) -> None:
    """Eight findings of one leak in the same moment do not race to eight cases."""
    signals = [finding(shop.user.access_key_id, f"f-{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda signal: intake.ingest(wiring, signal), signals))
    assert len(found) == 1
    [incident_id] = wiring.records.incidents()
    assert len(wiring.incident(incident_id).signals) == 8


@pytest.mark.parametrize("written", range(1, 5))
def test_an_intake_that_died_half_way_is_finished_by_the_next(
    wiring: Wiring, shop: Shop, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """Whatever was written before the crash, the same signal read again ends in one incident with a plan."""
    _die_after(monkeypatch, written)
    signal = finding(shop.user.access_key_id)
    with pytest.raises(KeyboardInterrupt):
        intake.ingest(wiring, signal)
    monkeypatch.undo()
    incident_id = intake.ingest(wiring, signal)
    assert incident_id is not None
    assert list(wiring.records.incidents()) == [incident_id]
    incident = wiring.incident(incident_id)
    assert incident.plan is not None
    assert len(incident.exposures) == 1
    assert len(incident.signals) == 1


def _die_after(monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    """Let this many events be written, then be interrupted before the next."""
    real, count = SqlRecords.append, 0

    def append(self: SqlRecords, *arguments: Any, **options: Any) -> Any:
        nonlocal count
        if count == written:
            raise KeyboardInterrupt
        count += 1
        return real(self, *arguments, **options)

    monkeypatch.setattr(SqlRecords, "append", append)


def test_what_a_running_plan_does_not_cover_becomes_a_case_of_its_own(wiring: Wiring, shop: Shop) -> None:
    """A second leaked key that comes while steps have run is planned and contained, not swallowed by the old claim."""
    other = _second_access_key(shop)
    first = intake.ingest(wiring, finding(shop.user.access_key_id))
    assert first is not None
    assert contain_now(wiring, first).contained_at is not None
    both = finding(shop.user.access_key_id, "f-2")
    both = both.model_copy(update={"fingerprints": (*both.fingerprints, *finding(other).fingerprints)})
    second = intake.ingest(wiring, both)
    assert second not in (None, first)
    assert second is not None
    [exposure] = wiring.incident(second).exposures
    assert exposure.target.endswith(other)
    assert contain_now(wiring, second).contained_at is not None
    listed = shop.account.client("iam").list_access_keys(UserName=shop.user.name)["AccessKeyMetadata"]
    assert {each["Status"] for each in listed} == {"Inactive"}
    assert wiring.incident(first).contained_at is not None
    assert intake.ingest(wiring, both) in (first, second)
    assert len(wiring.records.incidents()) == 2


def _second_access_key(shop: Shop) -> str:
    """A second access key of the same user, listed in the estate; returns its id."""
    key = shop.account.client("iam").create_access_key(UserName=shop.user.name)["AccessKey"]
    made, secret = key["AccessKeyId"], f"file:{shop.root / 'secrets' / 'second.json'}"
    write_secret(secret, {"access_key_id": made, "secret_access_key": key["SecretAccessKey"]})
    estate = yaml.safe_load(shop.estate.read_text(encoding="utf-8"))
    entry = dict(estate["credentials"][0])
    entry |= {"ref": entry["ref"].replace(shop.user.access_key_id, made), "secret": secret, "fingerprints": []}
    estate["credentials"].append(entry)
    shop.estate.write_text(yaml.safe_dump(estate), encoding="utf-8")
    return str(made)


def test_approvals_are_void_when_the_plan_changes(wiring: Wiring, shop: Shop) -> None:
    """Approving binds to the digest: another estate makes another plan, which nobody has approved."""
    incident_id = declared(wiring, shop)
    old = wiring.incident(incident_id).plan
    assert old is not None
    intake.approve(wiring, incident_id, approver="bob", digest=old.digest)
    assert len(wiring.incident(incident_id).approvals) == 1
    shop.estate.write_text(shop.estate.read_text().replace("backup_retention_days: 30", "backup_retention_days: 400"))
    estate = yaml.safe_load(shop.estate.read_text())
    estate["contacts"]["managers"] = "ciso"
    estate["consumers"].append({"name": "another", "owner": "x", "uses": [shop.key]})
    shop.estate.write_text(yaml.safe_dump(estate))
    new = intake.replan(wiring, incident_id)
    assert new.digest != old.digest
    assert wiring.incident(incident_id).approvals == ()
    with pytest.raises(InvalidInput, match="digest"):
        intake.approve(wiring, incident_id, approver="bob", digest=old.digest)


@pytest.mark.parametrize(
    ("approver", "digest", "why"),
    [("alice", "", "asked for this"), ("bob", "0" * 64, "digest"), ("bob", "short", "digest")],
)
def test_a_worthless_approval_is_refused(wiring: Wiring, shop: Shop, approver: str, digest: str, why: str) -> None:
    """The requester, another plan's digest, and too short a digest approve nothing."""
    incident_id = declared(wiring, shop)
    plan = wiring.incident(incident_id).plan
    assert plan is not None
    with pytest.raises(InvalidInput, match=why):
        intake.approve(wiring, incident_id, approver=approver, digest=digest or plan.digest)
    assert wiring.incident(incident_id).approvals == ()


def test_a_plan_that_has_begun_is_kept(wiring: Wiring, shop: Shop) -> None:
    """Its steps hold outputs that later steps refer to; planning again changes nothing."""
    incident_id = declared(wiring, shop)
    contain_now(wiring, incident_id)
    before = wiring.records.events(incident_id)
    assert intake.replan(wiring, incident_id) == wiring.incident(incident_id).plan
    assert wiring.records.events(incident_id) == before


def test_recovery_cannot_be_claimed_without_containment(wiring: Wiring, shop: Shop) -> None:
    """Closing as recovered needs the proof; closing as a false alarm does not."""
    incident_id = declared(wiring, shop)
    with pytest.raises(InvalidInput, match="never proven contained"):
        intake.close(wiring, incident_id, by="alice", outcome="recovered")
    intake.close(wiring, incident_id, by="alice", outcome="false-alarm")
    closed = wiring.incident(incident_id).closed
    assert closed is not None
    assert closed.outcome == "false-alarm"


def test_many_people_closing_at_once_close_it_once(wiring: Wiring, shop: Shop) -> None:
    """A second closing event would contradict the record and make it unreadable."""
    incident_id = declared(wiring, shop)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: intake.close(wiring, incident_id, by="a", outcome="false-alarm"), range(8)))
    events = wiring.records.events(incident_id)
    assert sum(event.kind is EventKind.CLOSED for event in events) == 1
    verify_chain(events)
    assert wiring.incident(incident_id).closed is not None


def test_a_closed_case_stays_readable_whatever_comes_late(wiring: Wiring, shop: Shop) -> None:
    """Planning again, containing again and another finding do not write what a closed record contradicts."""
    incident_id = declared(wiring, shop)
    intake.close(wiring, incident_id, by="alice", outcome="false-alarm")
    shop.estate.write_text(shop.estate.read_text().replace("owner: platform", "owner: somebody"))
    intake.replan(wiring, incident_id)
    contain_now(wiring, incident_id)
    assert shop.credential_active()
    assert wiring.incident(incident_id).closed is not None
    again = intake.ingest(wiring, finding(shop.user.access_key_id))
    assert again not in (None, incident_id)
