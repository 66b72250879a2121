"""From signals to incidents: one leak is one case, whoever dies or comes twice, and approvals bind to one plan."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from small_shop import Shop

from flows import intake
from flows.background import Background
from flows.engine import contain_now, step_once
from flows.settings import load_settings
from flows.wiring import Wiring
from integrations.records.sql import SqlRecords
from integrations.secrets import write_secret
from playbooks.errors import InvalidInput
from playbooks.event_bodies import SignalUnmatched, read_body
from playbooks.exposures import Exposure, ExposureKind, Fingerprint, Signal
from playbooks.plans import Gate, Phase
from playbooks.record import INSTALLATION, EventKind, verify_chain

pytestmark = pytest.mark.lab


@pytest.fixture
def wiring(shop: Shop) -> Iterator[Wiring]:
    """The composition root of a shop that nothing has happened to."""
    with shop.wiring() as opened:
        yield opened


def finding(
    access_key_id: str, external_id: str = "f-1", source: str = "scanner", *, confidence: float = 0.9, hours: float = 0
) -> Signal:
    """A scanner's finding of this access key, observed so many hours from now."""
    return Signal(
        source=source,
        external_id=external_id,
        kind=ExposureKind.CREDENTIAL,
        fingerprints=(Fingerprint(kind="access-key-id", value=access_key_id),),
        summary="An access key stands in a public place.",
        observed_at=datetime.now(UTC) + timedelta(hours=hours),
        confidence=confidence,
    )


def declared(wiring: Wiring, shop: Shop) -> str:
    """A person says that the shop's access key is out."""
    exposure = Exposure(kind=ExposureKind.CREDENTIAL, target=shop.credential, confidence=1.0)
    return intake.declare(wiring, [exposure], requested_by="alice")


def test_what_matches_nothing_opens_nothing(wiring: Wiring) -> None:
    """A key of somebody else is not our incident."""
    assert intake.ingest(wiring, finding("AKIASOMEBODYELSE")) is None
    assert list(wiring.records.incidents()) == []


def test_what_matches_nothing_is_kept_once_for_a_person_to_look_at(wiring: Wiring, shop: Shop) -> None:
    """By source and id, also when eight find it at once, and when another process looks again."""
    signals = [finding("AKIASOMEBODYELSE", f"u-{number % 2}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda signal: intake.take_in(wiring, signal).how, signals)) == {"unmatched"}
    with shop.wiring() as another:
        intake.ingest(another, signals[0])
        intake.ingest(another, finding("AKIASOMEBODYELSE", "u-0", source="trail"))
    intake.ingest(wiring, finding("AKIASOMEBODYELSE", "u-0", source="trail"))
    events = wiring.records.events(INSTALLATION)
    verify_chain(events)
    kept = [body.signal for body in map(read_body, events) if isinstance(body, SignalUnmatched)]
    assert sorted((each.source, each.external_id) for each in kept) == [
        ("scanner", "u-0"), ("scanner", "u-1"), ("trail", "u-0"),
    ]  # fmt: skip
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


def test_a_second_source_makes_sure_enough_to_contain_without_asking(wiring: Wiring, shop: Shop) -> None:
    """Half sure, a person must agree; a second source within the hour makes it 0.8, and containment runs by itself."""
    first = intake.ingest(wiring, finding(shop.user.access_key_id, confidence=0.5))
    assert first is not None
    assert contain_now(wiring, first).contained_at is None
    assert shop.credential_active()
    again = finding(shop.user.access_key_id, "f-2", confidence=0.5)
    assert intake.take_in(wiring, again) == intake.Taken(first, "joined")
    assert contain_now(wiring, first).contained_at is None
    assert intake.ingest(wiring, finding(shop.user.access_key_id, "t-1", source="trail", confidence=0.6)) == first
    [exposure] = wiring.incident(first).exposures
    assert exposure.confidence == pytest.approx(0.8)
    assert set(exposure.evidence) > {"trail:t-1"}
    assert contain_now(wiring, first).contained_at is not None
    assert not shop.credential_active()


def test_a_second_source_outside_the_window_joins_and_convinces_nobody(wiring: Wiring, shop: Shop) -> None:
    """Two hours later it is no echo: the case is the same, and a person must still agree."""
    first = intake.ingest(wiring, finding(shop.user.access_key_id, confidence=0.5))
    late = finding(shop.user.access_key_id, "t-1", source="trail", confidence=0.6, hours=2)
    assert first is not None
    assert intake.take_in(wiring, late) == intake.Taken(first, "joined")
    assert [each.confidence for each in wiring.incident(first).exposures] == [0.6]
    assert contain_now(wiring, first).contained_at is None
    assert shop.credential_active()


def test_confidence_opens_containment_also_after_other_steps_have_begun(wiring: Wiring, shop: Shop) -> None:
    """People were told meanwhile: the plan keeps its steps and what they achieved, and only the gates change."""
    first = intake.ingest(wiring, finding(shop.user.access_key_id, confidence=0.5))
    assert first is not None
    unsure = wiring.incident(first).plan
    assert unsure is not None
    notice = unsure.in_phase(Phase.NOTIFY)[0]
    step_once(wiring, first, notice.id)
    intake.ingest(wiring, finding(shop.user.access_key_id, "t-1", source="trail", confidence=0.6))
    incident = contain_now(wiring, first)
    assert incident.plan is not None
    assert [step.id for step in incident.plan.steps] == [step.id for step in unsure.steps]
    assert incident.steps[notice.id].succeeded
    assert incident.contained_at is not None


def test_a_persons_no_is_not_outvoted_by_a_second_source(wiring: Wiring, shop: Shop) -> None:
    """Somebody looked at this plan and said no; that stands until a person changes it."""
    first = intake.ingest(wiring, finding(shop.user.access_key_id, confidence=0.5))
    assert first is not None
    plan = wiring.incident(first).plan
    assert plan is not None
    intake.deny(wiring, first, approver="bob", digest=plan.digest, reason="our own test")
    intake.ingest(wiring, finding(shop.user.access_key_id, "t-1", source="trail", confidence=0.6))
    assert wiring.incident(first).plan == plan
    assert contain_now(wiring, first).contained_at is None
    assert shop.credential_active()


@pytest.mark.parametrize("written", range(3))
def test_a_second_source_whose_intake_died_half_way_still_opens_the_gate(
    wiring: Wiring, shop: Shop, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """Whatever was written before the crash, the same finding read again ends in the same confidence and plan."""
    first = intake.ingest(wiring, finding(shop.user.access_key_id, confidence=0.5))
    assert first is not None
    _die_after(monkeypatch, written)
    second = finding(shop.user.access_key_id, "t-1", source="trail", confidence=0.6)
    with pytest.raises(KeyboardInterrupt):
        intake.ingest(wiring, second)
    monkeypatch.undo()
    assert intake.ingest(wiring, second) == first
    incident = wiring.incident(first)
    assert [each.confidence for each in incident.exposures] == [pytest.approx(0.8)]
    assert len(incident.signals) == 2
    assert incident.plan is not None
    assert {step.gate for step in incident.plan.in_phase(Phase.CONTAIN)} == {Gate.PRE_APPROVED}


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


def test_a_finding_of_a_closed_case_opens_nothing_unless_it_says_something_new(wiring: Wiring, shop: Shop) -> None:
    """A nightly scan, or a webhook sent again, must not reopen a false alarm; new words, and new findings, do."""
    signal = finding(shop.user.access_key_id)
    first = intake.ingest(wiring, signal)
    assert first is not None
    intake.close(wiring, first, by="alice", outcome="false-alarm")
    nightly = signal.model_copy(update={"observed_at": signal.observed_at + timedelta(days=1)})
    with shop.wiring() as another:
        for seen_by in (wiring, another):
            assert intake.take_in(seen_by, nightly) == intake.Taken(first, "settled")
    assert len(wiring.records.incidents()) == 1
    again = intake.take_in(wiring, nightly.model_copy(update={"summary": "Seen 9 times."}))
    assert again.how == "opened"


def test_a_finding_of_a_case_that_was_never_contained_opens_it_anew(wiring: Wiring, shop: Shop) -> None:
    """What was given up may be tried again."""
    signal = finding(shop.user.access_key_id)
    first = intake.ingest(wiring, signal)
    assert first is not None
    intake.close(wiring, first, by="alice", outcome="not-contained")
    assert intake.take_in(wiring, signal).how == "opened"


def form(wiring: Wiring, shop: Shop, origin: str = "view:V1", **more: Any) -> str:
    """The same form, submitted."""
    exposure = Exposure(kind=ExposureKind.CREDENTIAL, target=shop.credential, confidence=1.0)
    return intake.declare(wiring, [exposure], requested_by="alice", origin=origin, **more)


def test_one_form_is_one_incident_however_often_it_is_submitted(wiring: Wiring, shop: Shop) -> None:
    """Eight at once, in two processes' worth of wirings; another form is another case."""
    with shop.wiring() as another, ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda number: form((wiring, another)[number % 2], shop), range(8)))
    [incident_id] = found
    assert wiring.records.incidents() == [incident_id]
    assert wiring.incident(incident_id).origin == "view:V1"
    assert form(wiring, shop, origin="view:V2") != incident_id
    assert len(wiring.records.incidents()) == 2


def test_a_form_submitted_again_after_midnight_is_still_the_same(shop: Shop) -> None:
    """The id holds the day; the record is asked whatever the day."""
    now = datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC)
    with Wiring.open(load_settings(shop.config), clock=lambda: now) as wiring:
        first = form(wiring, shop)
        now += timedelta(seconds=2)
        assert form(wiring, shop) == first


def test_a_form_is_remembered_when_its_case_is_closed(wiring: Wiring, shop: Shop) -> None:
    """A submission that comes late opens nothing and changes nothing."""
    incident_id = form(wiring, shop)
    intake.close(wiring, incident_id, by="alice", outcome="false-alarm")
    before = wiring.records.events(incident_id)
    assert form(wiring, shop) == incident_id
    assert wiring.records.events(incident_id) == before


@pytest.mark.parametrize("written", range(1, 5))
def test_a_declaration_that_died_half_way_is_finished_by_its_repetition(
    wiring: Wiring, shop: Shop, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """One incident, one note, one exposure, one plan."""
    _die_after(monkeypatch, written)
    with pytest.raises(KeyboardInterrupt):
        form(wiring, shop, note="seen in a public repository")
    monkeypatch.undo()
    incident_id = form(wiring, shop, note="seen in a public repository")
    assert wiring.records.incidents() == [incident_id]
    kinds = [event.kind for event in wiring.records.events(incident_id)]
    assert [kinds.count(kind) for kind in (EventKind.NOTE, EventKind.EXPOSURE_ADDED, EventKind.PLAN_MADE)] == [1, 1, 1]


def test_a_declaration_that_died_before_its_plan_is_planned_and_contained_by_whoever_comes(
    wiring: Wiring, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process contains it at once, without waiting for the flow."""
    _die_after(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        declared(wiring, shop)
    monkeypatch.undo()
    [incident_id] = wiring.records.incidents()
    background = Background(wiring)
    background.contain(incident_id)
    background.wait(seconds=30)
    assert wiring.incident(incident_id).contained_at is not None


def test_an_id_that_is_taken_is_not_shared(wiring: Wiring, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are short: chance may draw the same twice, and then draws again."""
    draws = iter([b"same", b"same", b"else"])
    monkeypatch.setattr("flows.opening._randomness", lambda origin, attempt: next(draws))
    assert declared(wiring, shop) != declared(wiring, shop)


def test_a_stranger_at_a_watched_key_opens_a_case_that_asks_a_person(shop: Shop) -> None:
    """The detector takes its connection from the settings; alone it is not sure enough to contain."""
    settings = yaml.safe_load(shop.config.read_text(encoding="utf-8"))
    watched = {
        "type": "key-usage",
        "connection": "cloud",
        "keys": [shop.key],
        "approved": ["arn:aws:iam::*:user/other"],
    }
    shop.config.write_text(yaml.safe_dump({**settings, "detectors": [watched]}), encoding="utf-8")
    shop.account.client("kms").encrypt(KeyId=shop.key.rpartition("/")[2], Plaintext=b"latte")
    with shop.wiring() as wiring:
        signals, _ = wiring.detector("key-usage").poll(cursor="")
        [first, *_] = {intake.ingest(wiring, signal) for signal in signals}
        assert first is not None
        [exposure] = wiring.incident(first).exposures
        assert (exposure.kind, exposure.target, exposure.confidence) == (ExposureKind.POLICY, shop.key, 0.7)
        assert contain_now(wiring, first).contained_at is None
    assert shop.key_state() == "Enabled"
