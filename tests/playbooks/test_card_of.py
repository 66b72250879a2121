"""The card says what the record holds, says it without a key's name, and offers only moves that make sense."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

import pytest
from written_case import CREDENTIAL, ESTATE, EXPOSURE, KEY, START, Case

from playbooks.authority import EVERYBODY, Authority
from playbooks.card import Card
from playbooks.card_of import card_of
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.milestones import RETIREMENT_BLOCKED
from playbooks.plans import Action, Phase
from playbooks.receipts import Census, Outcome, ProbeResult
from playbooks.record import EventKind
from playbooks.roster import Roster

DATASET = "files:docs/invoices"


def card(case: Case, authority: Authority = EVERYBODY, now: datetime = START) -> Card:
    return card_of(case.incident, estate=ESTATE, authority=authority, now=now)


def census(**counts: int) -> Census:
    given = {"objects": 12, "on_new": 12, "on_old": 0, "bytes": 1} | counts
    return Census(dataset=DATASET, taken_at=START, **given)


def words(of: Card) -> str:
    """Everything on the card but the plan's diff."""
    return repr({name: value for name, value in asdict(of).items() if name != "plan"})


def test_a_case_that_was_just_planned_burns_and_can_be_contained() -> None:
    """One sentence of what is exposed and what is within reach; nothing is proven; the next action is to contain."""
    made = card(Case())
    assert made.tone == "burning"
    assert made.burning == ("A credential that may use 1 key has leaked; 1 dataset and 1 service are within reach.")
    assert made.blast_radius.startswith("1 key, 1 dataset, 1 credential and 1 service; ")
    assert made.proven == ()
    assert "It is not contained yet." in made.not_proven
    assert made.next_action == "Contain now: 2 steps may run at once."
    assert made.buttons == ("contain", "acknowledge", "approve", "deny", "stand-down")
    assert made.digest == Case().plan.digest
    assert CREDENTIAL in made.plan


def test_objects_are_counted_once_a_census_has_counted_them() -> None:
    """Before that, nobody knows how many there are."""
    case = Case()
    case.note(EventKind.CENSUS_TAKEN, census=census(on_new=10, on_old=2))
    assert "12 objects in 1 dataset and 1 service are within reach." in card(case).burning
    assert card(case).census == ("invoices: 10 of 12 objects verified under the new key; 2 under the old key.",)


def test_a_contained_case_is_worked_on_and_offers_undo_but_not_containment() -> None:
    """Milestones and proofs are sentences; what is still open stands beside."""
    case = Case()
    case.contained()
    made = card(case)
    assert made.tone == "working"
    assert made.proven[0].startswith("Contained at 2026-03-02 09:00:")
    assert "1 credential: refused when tried afresh." in made.proven
    assert "Data is not shown to be off the old key." in made.not_proven
    assert made.buttons == ("acknowledge", "approve", "deny", "undo", "stand-down")
    assert made.next_action == "Take the case: nobody has acknowledged it."
    case.note(EventKind.ACKNOWLEDGED, by="bob", via="slack")
    assert card(case).acknowledged_by == "bob"
    assert "acknowledge" not in card(case).buttons


def test_a_case_that_is_contained_restored_and_whose_data_is_safe_is_safe() -> None:
    """The tone turns only when all three are in the record."""
    case = Case()
    case.contained()
    case.note(EventKind.DATA_SAFE, datasets=(DATASET,))
    assert card(case).tone == "working"
    case.note(EventKind.RESTORED, consumers=("app",))
    assert card(case).tone == "safe"


def test_what_still_worked_when_tried_is_said_so_and_not_called_contained() -> None:
    """A failed proof is neither hidden nor softened."""
    case = Case()
    step = case.named(Action.CUT_CREDENTIAL)
    probe = ProbeResult(subject=CREDENTIAL, operation="login", expected="refused", outcome=Outcome.WORKED, at=START)
    case.note(EventKind.STEP_STARTED, step=step, attempt=1, owner="o")
    case.note(EventKind.STEP_FINISHED, step=step, outcome="not-proven", probes=(probe,))
    case.note(EventKind.NOT_CONTAINED, reasons=(f"cut-credential of {CREDENTIAL}: not-proven",))
    made = card(case)
    assert made.tone == "burning"
    assert "It is NOT contained." in made.not_proven
    assert "Cutting 1 credential: it still worked when tried." in made.not_proven
    assert made.next_action == "Cutting 1 credential did not succeed: put that right by hand."


def test_containment_that_was_taken_back_burns_again() -> None:
    """The record still holds the proof of then; the card tells what is true now."""
    case = Case()
    case.contained()
    case.note(EventKind.STEP_UNDONE, step=case.named(Action.CUT_CREDENTIAL))
    made = card(case)
    assert made.tone == "burning"
    assert not any(each.startswith("Contained") for each in made.proven)
    assert "Containment was taken back: nothing holds what was exposed." in made.not_proven
    assert made.next_action.startswith("Stand down as a false alarm")


def test_approvals_say_who_agreed_how_who_is_missing_and_what_does_not_count() -> None:
    """The requester and a click without a passkey are named with the reason; a counting pair leaves nobody missing."""
    people = [{"name": each, "roles": ["approve", "retire"]} for each in ("alice", "bob", "carol", "dave")]
    authority = Authority(Roster.model_validate({"people": people}), START)
    case = Case()
    for name, method in (("alice", "break-glass"), ("bob", "slack")):
        case.note(EventKind.APPROVAL_GIVEN, approver=name, digest=case.plan.digest, method=method)
    made = card(case, authority)
    assert made.approvals == (
        "Agreed: alice (break-glass) and bob (a click in Slack). Missing: 2 people other than alice, for 1 step. "
        "Does not count: alice asked for this response; bob agreed without a passkey."
    )
    for name in ("carol", "dave"):
        case.note(EventKind.APPROVAL_GIVEN, approver=name, digest=case.plan.digest, method="break-glass")
    made = card(case, authority)
    assert made.approvals.endswith("Nobody is missing.")
    assert "approve" not in made.buttons


def test_a_role_that_was_taken_away_makes_somebody_missing_again() -> None:
    """The roster is asked as it is now."""
    case = Case()
    for name in ("bob", "carol"):
        case.note(EventKind.APPROVAL_GIVEN, approver=name, digest=case.plan.digest, method="break-glass")
    left = [{"name": "bob", "roles": ["retire"]}, {"name": "carol", "roles": ["retire"], "left": "2026-03-01"}]
    made = card(case, Authority(Roster.model_validate({"people": left}), START))
    assert "Missing: one more person other than alice" in made.approvals
    assert "carol has left" in made.approvals


def test_a_roster_that_cannot_be_read_counts_nobody() -> None:
    """And says why."""
    case = Case()
    case.note(EventKind.APPROVAL_GIVEN, approver="bob", digest=case.plan.digest, method="break-glass")
    assert "the roster cannot be read" in card(case, Authority(None, START, broken="line 3")).approvals


def test_after_a_no_there_is_nothing_to_approve() -> None:
    """One denial stops it: people talk, and the buttons are gone."""
    case = Case()
    case.contained()
    case.note(EventKind.APPROVAL_DENIED, approver="bob", digest=case.plan.digest, reason="too early")
    made = card(case)
    assert made.approvals.startswith("bob said no: too early.")
    assert {"approve", "deny"}.isdisjoint(made.buttons)


def test_a_closed_case_offers_nothing_but_taking_back_a_false_alarm() -> None:
    """What is in force after a false alarm can still be undone."""
    case = Case()
    case.contained()
    case.note(EventKind.CLOSED, by="alice", outcome="false-alarm")
    assert (card(case).tone, card(case).buttons) == ("over", ("undo",))
    assert card(case).next_action == "Undo: 2 steps still in force."
    over = Case()
    over.note(EventKind.CLOSED, by="alice", outcome="not-contained")
    assert card(over).buttons == ()


def test_a_retirement_that_waits_for_backups_is_a_deadline_and_no_failure() -> None:
    """With its margin, negative when it has passed."""
    case = Case()
    case.contained()
    retire = case.steps(Phase.RETIRE)[0]
    error = f"the old key must stay: backups of {DATASET} may need it until 2026-04-01."
    case.fail(retire, error, code=RETIREMENT_BLOCKED)
    made = card(case)
    assert [(each.what, each.at.date().isoformat()) for each in made.deadlines] == [
        ("The backups have aged out: the old key may go.", "2026-04-02")
    ]
    assert made.deadlines[0].margin_seconds == (made.deadlines[0].at - START).total_seconds()
    assert card(case, now=START + timedelta(days=60)).deadlines[0].margin_seconds < 0
    assert not any("failed" in each for each in made.not_proven)


def test_the_last_use_is_the_newest_sign_or_honestly_not_known() -> None:
    """Signals come in any order."""
    case = Case()
    assert card(case).last_use == "No use by the adversary is known: no detector has reported one."
    for minutes in (5, 1):
        signal = Signal(
            source="cloudtrail", external_id=str(minutes), kind=ExposureKind.CREDENTIAL, confidence=0.9,
            fingerprints=(Fingerprint(kind="access-key-id", value="AKIAEXAMPLE1"),), summary="used",
            observed_at=START + timedelta(minutes=minutes),
        )  # fmt: skip
        case.note(EventKind.SIGNAL_RECEIVED, signal=signal)
    assert card(case).last_use == "Last seen at 2026-03-02 09:05:00 UTC by cloudtrail."


def test_no_key_is_named_even_when_people_and_backends_name_it() -> None:
    """Reasons and errors are other people's words; the names of the case's keys are left out of them."""
    case = Case()
    case.fail(case.named(Action.CUT_CREDENTIAL), f"{CREDENTIAL} is gone", code="NoSuchEntity")
    case.note(EventKind.NOT_CONTAINED, reasons=(f"cut-credential of {CREDENTIAL}: failed",))
    case.note(EventKind.APPROVAL_DENIED, approver="bob", digest=case.plan.digest, reason=f"{KEY} is the wrong key")
    case.note(EventKind.GLASS_BROKEN, by="carol", digest=case.plan.digest, reason="AKIAEXAMPLE1 must die")
    case.note(EventKind.ATTEMPT_REFUSED, by="mallory", what=f"destroy {KEY}", reason="no role", via="slack")
    made = card(case)
    for name in (KEY, CREDENTIAL, "AKIAEXAMPLE1"):
        assert name not in words(made)
    assert "Cutting 1 credential: failed (NoSuchEntity)." in made.not_proven


@pytest.mark.parametrize("kind", list(ExposureKind))
def test_every_kind_of_exposure_has_a_sentence(kind: ExposureKind) -> None:
    """And an exposure that the estate does not list says so instead of guessing."""
    case = Case()
    case.note(EventKind.EXPOSURE_ADDED, exposure=EXPOSURE.model_copy(update={"kind": kind, "target": "aws-kms:x/y"}))
    assert card(case).burning.endswith("within reach.")


def test_an_estate_that_cannot_be_read_is_said_so_and_hides_nothing_else() -> None:
    """Nobody is told that nothing is within reach when nobody knows."""
    made = card_of(Case().incident, estate=None, authority=EVERYBODY, now=START)
    assert made.burning == "A credential that may use keys has leaked; what is within reach is not known."
    assert made.blast_radius == "not known: the estate cannot be read"
    assert "contain" in made.buttons
