"""Undo: what a false alarm changed is changed back on the backend, the last step first, and the record says so."""

from __future__ import annotations

import threading

import pytest
from small_shop import Shop

from flows import intake
from flows.engine import contain_now
from flows.undo import undo
from flows.wiring import Wiring
from playbooks.errors import InvalidInput
from playbooks.exposures import Exposure, ExposureKind
from playbooks.plans import Phase
from playbooks.record import EventKind, verify_chain


def contained(wiring: Wiring, target: str, kind: ExposureKind = ExposureKind.CREDENTIAL) -> str:
    """An incident that alice declared and that is contained."""
    incident_id = intake.declare(wiring, [Exposure(kind=kind, target=target, confidence=1.0)], requested_by="alice")
    assert contain_now(wiring, incident_id).contained_at is not None
    return incident_id


def test_a_cut_credential_and_a_quarantined_key_work_again_after_undo(shop: Shop) -> None:
    """The backend itself says so, asked as root; the record holds one undone event a step and stays verifiable."""
    with shop.wiring() as wiring:
        incident_id = contained(wiring, shop.credential)
        policy = shop.account.client("kms").get_key_policy(KeyId=shop.key.rpartition("/")[2], PolicyName="default")
        assert "keyquell" in policy["Policy"].lower()
        assert not shop.credential_active()
        results = undo(wiring, incident_id, by="alice")
        events = wiring.records.events(incident_id)
    assert shop.credential_active()
    policy = shop.account.client("kms").get_key_policy(KeyId=shop.key.rpartition("/")[2], PolicyName="default")
    assert "deny" not in policy["Policy"].lower()
    undone = [str(event.body["step"]) for event in events if event.kind is EventKind.STEP_UNDONE]
    assert undone == [each.step for each in results if each.taken_back]
    assert undone == sorted(undone, reverse=True)
    verify_chain(events)


def test_what_cannot_be_taken_back_is_said_and_is_no_failure(shop: Shop) -> None:
    """Ended sessions and grants stay ended."""
    with shop.wiring() as wiring:
        results = {each.step: each for each in undo(wiring, contained(wiring, shop.credential), by="alice")}
    sessions = next(each for step, each in results.items() if step.endswith("revoke-sessions"))
    assert not sessions.taken_back
    assert not sessions.failed
    assert "cannot be taken back" in sessions.reason


def test_undo_twice_takes_nothing_back_twice(shop: Shop) -> None:
    """The second time, steps that are undone are left alone."""
    with shop.wiring() as wiring:
        incident_id = contained(wiring, shop.credential)
        undo(wiring, incident_id, by="alice")
        assert not any(each.taken_back for each in undo(wiring, incident_id, by="bob"))


def test_nothing_to_undo_is_an_error_that_says_so(shop: Shop) -> None:
    """Before any step has run there is nothing to take back."""
    with shop.wiring() as wiring:
        exposure = Exposure(kind=ExposureKind.CREDENTIAL, target=shop.credential, confidence=1.0)
        incident_id = intake.declare(wiring, [exposure], requested_by="alice")
        with pytest.raises(InvalidInput, match="nothing to undo"):
            undo(wiring, incident_id, by="alice")


def test_what_was_so_before_the_incident_stays_so(shop: Shop) -> None:
    """A credential that somebody had cut beforehand is not switched on by an undo."""
    iam = shop.account.client("iam")
    iam.update_access_key(UserName=shop.user.name, AccessKeyId=shop.user.access_key_id, Status="Inactive")
    with shop.wiring() as wiring:
        incident_id = contained(wiring, shop.credential)
        results = {each.step: each for each in undo(wiring, incident_id, by="alice")}
    assert results["contain.1-cut-credential"].reason == "it was so before the incident"
    assert not shop.credential_active()


def test_a_backend_that_is_gone_takes_nothing_back_and_is_named(shop: Shop) -> None:
    """A step that could not be taken back stays in force in the record, and is taken back when asked again."""
    with shop.wiring() as wiring:
        incident_id = contained(wiring, shop.credential)
    settings = shop.config.read_text(encoding="utf-8")
    endpoint = shop.account.endpoint_url
    shop.config.write_text(settings.replace(endpoint, "http://127.0.0.1:9"), encoding="utf-8")
    with shop.wiring() as wiring:
        results = undo(wiring, incident_id, by="alice")
        assert {each.failed for each in results} == {True, False}
        assert not any(each.taken_back for each in results)
        plan = wiring.incident(incident_id).plan
        assert plan is not None
        assert all(wiring.incident(incident_id).steps[step.id].succeeded for step in plan.in_phase(Phase.CONTAIN))
    shop.config.write_text(settings, encoding="utf-8")
    with shop.wiring() as wiring:
        assert any(each.taken_back for each in undo(wiring, incident_id, by="alice"))
    assert shop.credential_active()


def test_a_case_whose_containment_was_taken_back_is_not_closed_as_recovered(shop: Shop) -> None:
    """It can only be a false alarm, or not contained."""
    with shop.wiring() as wiring:
        incident_id = contained(wiring, shop.credential)
        undo(wiring, incident_id, by="alice")
        with pytest.raises(InvalidInput, match="taken back"):
            intake.close(wiring, incident_id, by="alice", outcome="recovered")
        intake.close(wiring, incident_id, by="alice", outcome="false-alarm")
        closed = wiring.incident(incident_id).closed
        assert closed is not None
        assert closed.outcome == "false-alarm"


def test_two_at_once_take_each_step_back_once(shop: Shop) -> None:
    """Four at the same moment: the record holds one undone event a step, and the backend is back as it was."""
    with shop.wiring() as wiring:
        incident_id = contained(wiring, shop.credential)
        together = threading.Barrier(4)
        taken: list[str] = []

        def take_back() -> None:
            together.wait()
            taken.extend(each.step for each in undo(wiring, incident_id, by="alice") if each.taken_back)

        threads = [threading.Thread(target=take_back) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        events = wiring.records.events(incident_id)
    undone = [str(event.body["step"]) for event in events if event.kind is EventKind.STEP_UNDONE]
    assert sorted(taken) == sorted(undone) == sorted(set(undone))
    assert undone
    assert shop.credential_active()
    verify_chain(events)


def test_what_could_not_be_taken_back_stands_in_the_record(shop: Shop) -> None:
    """With its reason: whoever comes later sees that it is still in force, and why."""
    with shop.wiring() as wiring:
        incident_id = contained(wiring, shop.credential)
    settings = shop.config.read_text(encoding="utf-8")
    shop.config.write_text(settings.replace(shop.account.endpoint_url, "http://127.0.0.1:9"), encoding="utf-8")
    with shop.wiring() as wiring:
        failed = [each for each in undo(wiring, incident_id, by="alice") if each.failed]
        notes = [str(each.body["text"]) for each in wiring.records.of_kind(EventKind.NOTE, incident=incident_id)]
    assert failed
    assert notes == ["Undo was asked for.", *(f"{each.step} was not taken back: {each.reason}" for each in failed)]
