"""What a responder reads on one screen: the verdict first, no failure where there is none, the next action last."""

from __future__ import annotations

from datetime import UTC, datetime

from written_case import CREDENTIAL, ID
from written_case import Case as WrittenCase

from console.views import incident_brief, incident_data, incident_view, next_action
from playbooks.authority import Authority
from playbooks.milestones import RETIREMENT_BLOCKED
from playbooks.plans import Action, Phase
from playbooks.record import EventKind
from playbooks.roster import Roster

BLOCKED = (
    "the old key must stay: backups of files:docs/invoices may need it until 2026-04-01. "
    "Move what is left and take the census again, or wait for the backups to age out."
)


class Case(WrittenCase):
    """The record of an exercise, and its screen."""

    def __init__(self) -> None:
        super().__init__(exercise=True)

    @property
    def screen(self) -> str:
        """What a person sees."""
        return incident_view(self.incident).plain


def test_before_anything_ran_it_burns_and_the_command_that_goes_on_is_named() -> None:
    """Verdict, exercise mark and exposure stand above the fold; the last line is what to do."""
    lines = Case().screen.splitlines()
    assert lines[0] == f"calm-otter  {ID}   EXERCISE "
    assert lines[1] == "burning: not contained yet"
    assert CREDENTIAL in lines[2]
    assert lines[-1] == f"Next: `keyquell run {ID}` goes on."


def test_virtual_time_is_said_beside_the_exercise() -> None:
    """To people and to programs."""
    case = WrittenCase(exercise=True, virtual_time=True)
    assert incident_view(case.incident).plain.splitlines()[0] == f"calm-otter  {ID}   EXERCISE, VIRTUAL TIME "
    assert incident_data(case.incident)["virtual_time"] is True
    assert incident_data(Case().incident)["virtual_time"] is False


def test_a_contained_case_lists_what_holds_and_folds_what_is_to_come() -> None:
    """Containing steps one by one; a later phase in one line."""
    case = Case()
    for step in case.steps(Phase.CONTAIN):
        case.run(step)
    case.note(EventKind.CONTAINED, probes=3, not_shown=())
    assert "contained, proven" in case.screen
    assert f"✔ cut credential {CREDENTIAL}" in case.screen
    assert "verify     · 0 of" in case.screen
    assert "probe old" not in case.screen
    assert len(case.screen.splitlines()) < 24


def test_a_running_step_is_shown_while_it_runs() -> None:
    """Who looks during a response sees where it is, and what to do should it have died."""
    case = Case()
    first = case.steps(Phase.CONTAIN)[0]
    case.note(EventKind.STEP_STARTED, step=first, attempt=1, owner="host/1/1.0")
    assert "… cut credential" in case.screen
    assert next_action(case.incident) == (
        f"wait, {first} is running; if its process has died, `keyquell run {ID}` goes on."
    )


def test_a_retirement_that_waits_for_backups_is_no_failure() -> None:
    """It waits until a date; nothing is red, and the next action is not to look into a failure."""
    case = Case()
    retire = [step.id for step in case.plan.steps if step.phase is Phase.RETIRE and not step.unavailable]
    if not retire:
        retire = [step.id for step in case.plan.steps if step.phase is Phase.REVIEW]
    case.fail(retire[0], BLOCKED, code=RETIREMENT_BLOCKED)
    assert "waits: backups until 2026-04-01" in case.screen
    assert "✘" not in case.screen
    assert "did not succeed" not in next_action(case.incident)
    data = incident_data(case.incident)["steps"][retire[0]]
    assert (data["state"], data["error"]) == ("waits", "")
    case.note(EventKind.CLOSED, by="keyquell", outcome="recovered")
    assert "stays shut and waits: backups until 2026-04-01" in next_action(case.incident)


def test_a_failure_is_told_with_its_reason_and_whether_trying_again_helps() -> None:
    """A refused step needs a hand; an unreachable backend needs another run."""
    case = Case()
    first = case.steps(Phase.CONTAIN)[0]
    case.fail(first, "access denied.")
    case.note(EventKind.NOT_CONTAINED, reasons=("cut-credential: failed",))
    assert "NOT CONTAINED" in case.screen.splitlines()[1]
    assert "✘ cut credential" in case.screen
    assert next_action(case.incident).startswith(f"{first} did not succeed: access denied. Put that right by hand")
    again = Case()
    again.fail(first, "no answer.", retryable=True)
    assert next_action(again.incident) == f"{first} failed (no answer); `keyquell run {ID}` tries again."


def test_what_was_taken_back_is_never_called_contained() -> None:
    """The record still holds the proof of then; the screen tells what is true now."""
    case = Case()
    for step in case.steps(Phase.CONTAIN):
        case.run(step)
    case.note(EventKind.CONTAINED, probes=3, not_shown=())
    case.note(EventKind.STEP_UNDONE, step=case.named(Action.CUT_CREDENTIAL))
    assert "contained, proven" not in case.screen
    assert "containment was taken back" in case.screen
    assert "--outcome false-alarm" in next_action(case.incident)


def test_several_cases_are_two_lines_each() -> None:
    """Verdict and next action."""
    assert len(incident_brief(Case().incident).plain.splitlines()) == 3


def test_square_brackets_in_what_a_backend_says_are_shown_as_they_are() -> None:
    """Foreign words are never taken for markup."""
    case = Case()
    case.fail(case.steps(Phase.CONTAIN)[0], "[red]AccessDenied[/red] for [two people].")
    assert "[red]AccessDenied[/red] for [two people]" in case.screen


def test_who_took_the_case_and_what_is_easily_overlooked_is_on_the_screen() -> None:
    """Acknowledgement, a broken glass, refused attempts and unread drafts; the same for programs."""
    case = Case()
    case.note(EventKind.ACKNOWLEDGED, by="bob", via="pagerduty")
    case.note(EventKind.GLASS_BROKEN, by="carol", digest=case.plan.digest, reason="nobody has a passkey here")
    case.note(EventKind.ATTEMPT_REFUSED, by="mallory", what="approve", reason="no role", via="slack")
    case.note(EventKind.MESSAGE_DRAFTED, id="m1", audience="customers", need_to_know="outside", subject="s", body="b")
    for words in (
        "Taken by bob at",
        "! carol broke the glass (nobody has a passkey here); nobody has reviewed it.",
        "! 1 attempt refused, the last by mallory to approve.",
        "! 1 message to read before sending: customers.",
    ):
        assert words in case.screen
    people = incident_data(case.incident)
    assert (people["acknowledged"]["by"], people["drafts"], people["refused"][0]["by"]) == ("bob", ["m1"], "mallory")


def test_an_approval_that_does_not_count_is_named_with_the_reason() -> None:
    """By the roster as it is now: a click is no passkey."""
    case = Case()
    roster = Roster.model_validate({"people": [{"name": "bob", "roles": ["approve", "retire"]}]})
    authority = Authority(roster, datetime(2026, 3, 2, 10, tzinfo=UTC))
    case.note(EventKind.APPROVAL_GIVEN, approver="bob", digest=case.plan.digest, method="slack")
    screen = incident_view(case.incident, authority).plain
    assert "Agreed: bob (a click in Slack)." in screen
    assert "Does not count: bob agreed without a passkey." in screen
    assert "needs two people" in screen
