"""What a responder reads on one screen: the verdict first, no failure where there is none, the next action last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from console.views import incident_brief, incident_data, incident_view, next_action
from playbooks.estate import Estate
from playbooks.event_bodies import body_of
from playbooks.exposures import Exposure, ExposureKind
from playbooks.incident import Incident
from playbooks.milestones import RETIREMENT_BLOCKED
from playbooks.planner import make_plan
from playbooks.plans import Action, Phase, Plan
from playbooks.playbook import catalog, choose
from playbooks.record import GENESIS, Event, EventKind

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY, CREDENTIAL = "aws-kms:cloud/k1", "aws-iam:cloud/svc-app/AKIAEXAMPLE1"
ESTATE = Estate.model_validate({
    "keys": [{"ref": KEY}],
    "datasets": [{"ref": "files:docs/invoices", "key": KEY, "envelope": "esdk", "backup_retention_days": 30}],
    "credentials": [{"ref": CREDENTIAL, "consumer": "app", "may_use": [KEY], "secret": "file:/run/old"}],
    "consumers": [{"name": "app", "channel": "services", "uses": [KEY], "credential_file": "file:/srv/app"}],
})  # fmt: skip
EXPOSURE = Exposure(kind=ExposureKind.CREDENTIAL, target=CREDENTIAL, confidence=1.0)
BLOCKED = (
    "the old key must stay: backups of files:docs/invoices may need it until 2026-04-01. "
    "Move what is left and take the census again, or wait for the backups to age out."
)


class Case:
    """A record written event by event, and the incident that it tells."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.note(
            EventKind.INCIDENT_OPENED, codename="calm-otter", severity="high", exercise=True, requested_by="alice",
            playbook="kms-credential-leak",
        )  # fmt: skip
        self.note(EventKind.EXPOSURE_ADDED, exposure=EXPOSURE)
        self.plan: Plan = make_plan(
            incident_id="KQ-1", exposures=[EXPOSURE], estate=ESTATE, facts={}, playbook=choose(catalog(), [EXPOSURE])
        )
        self.note(EventKind.PLAN_MADE, plan=self.plan)

    def note(self, kind: EventKind, **fields: object) -> None:
        """Add one event, a second after the last."""
        body: dict[str, JsonValue] = dict(body_of(kind, **fields))
        number = len(self.events)
        at = START + timedelta(seconds=number)
        previous = self.events[-1].hash if self.events else GENESIS
        event = Event.link(incident="KQ-1", seq=number, at=at, kind=kind, body=body, prev=previous)
        self.events.append(event)

    def run(self, step: str, outcome: str = "proven") -> None:
        """One step begins and ends."""
        self.note(EventKind.STEP_STARTED, step=step, attempt=1, owner="host/1/1.0")
        self.note(EventKind.STEP_FINISHED, step=step, outcome=outcome)

    def fail(self, step: str, error: str, *, code: str = "", retryable: bool = False) -> None:
        """One step begins and fails."""
        self.note(EventKind.STEP_STARTED, step=step, attempt=1, owner="host/1/1.0")
        self.note(EventKind.STEP_FAILED, step=step, error=error, code=code, retryable=retryable)

    def steps(self, phase: Phase) -> list[str]:
        """The steps of a phase that can be made."""
        return [step.id for step in self.plan.in_phase(phase) if not step.unavailable]

    def named(self, action: Action) -> str:
        """The first step of an action."""
        return next(step.id for step in self.plan.steps if step.action is action)

    @property
    def incident(self) -> Incident:
        """What the events tell."""
        return Incident.of(self.events)

    @property
    def screen(self) -> str:
        """What a person sees."""
        return incident_view(self.incident).plain


def test_before_anything_ran_it_burns_and_the_command_that_goes_on_is_named() -> None:
    """Verdict, exercise mark and exposure stand above the fold; the last line is what to do."""
    lines = Case().screen.splitlines()
    assert lines[0] == "calm-otter  KQ-1   EXERCISE "
    assert lines[1] == "burning: not contained yet"
    assert CREDENTIAL in lines[2]
    assert lines[-1] == "Next: `keyquell run KQ-1` goes on."


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
        f"wait, {first} is running; if its process has died, `keyquell run KQ-1` goes on."
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
    assert next_action(again.incident) == f"{first} failed (no answer); `keyquell run KQ-1` tries again."


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
