"""From signals to incidents: one leak is one case, whoever dies or comes twice, and a plan that runs is kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from leaked_key import declared, die_after, finding
from small_shop import Shop

from flows import intake
from flows.engine import contain_now, step_once
from flows.wiring import Wiring
from integrations.secrets import write_secret
from playbooks.event_bodies import SignalUnmatched, read_body
from playbooks.exposures import ExposureKind
from playbooks.plans import Gate, Phase
from playbooks.record import INSTALLATION, verify_chain

pytestmark = pytest.mark.lab


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
    die_after(monkeypatch, written)
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
    die_after(monkeypatch, written)
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


def test_a_plan_that_has_begun_is_kept(wiring: Wiring, shop: Shop) -> None:
    """Its steps hold outputs that later steps refer to; planning again changes nothing."""
    incident_id = declared(wiring, shop)
    contain_now(wiring, incident_id)
    before = wiring.records.events(incident_id)
    assert intake.replan(wiring, incident_id) == wiring.incident(incident_id).plan
    assert wiring.records.events(incident_id) == before


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
