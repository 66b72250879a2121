"""Commands on incidents: declare, plan, run, status, undo, close."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.text import Text

from console.output import Common, ExitCode, login_name, show, whoami
from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind
from playbooks.refs import parse_ref

if TYPE_CHECKING:
    from flows.undo import Undone
    from flows.wiring import Wiring
    from playbooks.desk import Actor, Desk, StepUp

Kind = Literal[
    "credential", "policy", "key-material", "data-key", "signing-key", "issuing-key", "algorithm", "availability"
]
Id = Annotated[str, Parameter(help="Id or code name of the incident.")]
Code = Annotated[str, Parameter(help="One-time code of your authenticator app.")]
As = Annotated[str, Parameter(name="--as", help="Your name in the record. Default: the login name.")]


def declare(
    target: Annotated[str, Parameter(help="URI of the exposed key or credential, as in the estate.")],
    /,
    *,
    kind: Annotated[Kind, Parameter(help="What the attacker has.")] = "credential",
    via: Annotated[str, Parameter(help="URI of the credential through which it got out, if known.")] = "",
    since: Annotated[datetime | None, Parameter(help="Last time it was known to be good.")] = None,
    severity: Annotated[
        Literal["low", "medium", "high", "critical"], Parameter(help="How bad it is; people are told.")
    ] = "high",
    playbook: Annotated[str, Parameter(help="Playbook to use. Default: chosen by what is exposed.")] = "",
    plan_only: Annotated[bool, Parameter(help="Show the plan and change nothing.", negative="")] = False,
    by: As = "",
    common: Common = Common(),
) -> int:
    """Open an incident, plan it, and run the pre-approved containment at once."""
    from console.views import plan_data
    from flows.admission import Act, admit
    from flows.engine import contain_now
    from flows.intake import declare as open_incident
    from flows.intake import preview
    from flows.wiring import Wiring
    from playbooks.exposures import Exposure, Interval
    from playbooks.plan_text import plan_diff

    target, via = str(parse_ref(target)), str(parse_ref(via)) if via else ""
    occurred = Interval(not_before=_aware(since))
    exposure = Exposure(kind=ExposureKind(kind), target=target, via=via, occurred=occurred, confidence=1.0)
    with Wiring.from_file(common.config) as wiring:
        _in_estate(wiring, target)
        if plan_only:
            plan, facts = preview(wiring, [exposure], requested_by=whoami(by))
            show(
                common, plan_data(plan), plan_diff(plan, facts), "", "Nothing was changed. Without --plan-only it runs."
            )
            return ExitCode.OK
        who = admit(wiring, sitting(wiring, by), Act.DECLARE)
        incident_id = open_incident(wiring, [exposure], requested_by=who.name, severity=severity, playbook=playbook)
        incident = contain_now(wiring, incident_id)
        show_incident(common, wiring, incident_id)
        if incident.contained_at is not None:
            return ExitCode.OK
        return ExitCode.FAILED if incident.not_contained else ExitCode.WAITING


def plan(incident: Id, /, *, common: Common = Common()) -> int:
    """Show the plan of an incident as a diff; make it again when the facts changed and nothing ran yet."""
    from console.views import next_action, plan_data
    from flows.intake import replan
    from flows.lookup import named
    from flows.wiring import Wiring
    from playbooks.plan_text import plan_diff
    from playbooks.refs import KeyRef

    with Wiring.from_file(common.config) as wiring:
        made = replan(wiring, named(wiring, incident))
        now = wiring.incident(made.incident_id)
        facts = {KeyRef.parse(uri): fact for uri, fact in now.facts.items()}
        show(common, plan_data(made), plan_diff(made, facts), "", f"Next: {next_action(now, wiring.authority())}")
        return ExitCode.OK


def run(
    incident: Id,
    /,
    *,
    wait: Annotated[float, Parameter(help="Seconds to wait for approvals before giving the terminal back.")] = 0.0,
    common: Common = Common(),
) -> int:
    """Go on with the response, until it is closed, blocked or waits for approval. May be killed and run again."""
    from console.views import incident_data, incident_view
    from flows.lookup import named
    from flows.run import run_response
    from flows.settings import load_settings
    from flows.wiring import Wiring

    settings = load_settings(common.config)
    with Wiring.open(settings) as wiring:
        incident = named(wiring, incident)
        ended = run_response(settings.source, incident, wait_for_approval_seconds=wait)
        now, authority = wiring.incident(incident), wiring.authority()
        show(common, {**incident_data(now, authority), "ended": ended}, incident_view(now, authority))
    return {"closed": ExitCode.OK, "waiting": ExitCode.WAITING}.get(ended, ExitCode.FAILED)


def status(
    incident: Annotated[str, Parameter(help="Id of one incident. Default: all that are open.")] = "",
    /,
    *,
    common: Common = Common(),
) -> int:
    """Show one incident, or all that are open."""
    from console.views import incident_brief, incident_data, incident_view
    from flows.intake import open_incidents
    from flows.lookup import named
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        if incident:
            show_incident(common, wiring, named(wiring, incident))
            return ExitCode.OK
        found = open_incidents(wiring)
        view = incident_view if len(found) == 1 else incident_brief
        authority = wiring.authority()
        views = [view(each, authority) for each in found] or [Text("Nothing is burning: no open incident.")]
        show(common, {"open": [incident_data(each, authority) for each in found]}, *views)
        return ExitCode.OK


def undo(incident: Id, /, *, code: Code = "", by: As = "", common: Common = Common()) -> int:
    """Take back the reversible steps of a false alarm, the last first.

    With a roster this needs a one-time code, or your passkey: the answer is then a link to open in your browser.
    """
    from console.commands.at_once import AtOnce
    from console.views import next_action
    from flows.desk import ResponseDesk
    from flows.lookup import named
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        at_once = AtOnce(wiring)
        link = ResponseDesk(wiring, at_once).undo(sitting(wiring, by), incident, code=code)
        if link is not None:
            return show_link(common, incident, link, "Nothing is taken back yet")
        incident = named(wiring, incident)
        following = next_action(wiring.incident(incident), wiring.authority())
    results = at_once.undone
    lines = [_undone_line(each) for each in results] or ["Nothing is left to take back."]
    data = [{"step": each.step, "taken_back": each.taken_back, "reason": each.reason} for each in results]
    show(common, {"incident": incident, "steps": data, "next": following}, *lines, f"Next: {following}")
    return ExitCode.FAILED if any(each.failed for each in results) else ExitCode.OK


def close(
    incident: Id,
    /,
    *,
    outcome: Annotated[Literal["recovered", "false-alarm", "not-contained"], Parameter(help="How it ended.")],
    code: Code = "",
    by: As = "",
    common: Common = Common(),
) -> int:
    """End a case; refused when the record contradicts the outcome.

    With a roster this needs a one-time code, or your passkey: the answer is then a link to open in your browser.
    """
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        desk, actor = at_desk(wiring, by)
        link = desk.stand_down(actor, incident, outcome=outcome, code=code)
        if link is not None:
            return show_link(common, incident, link, "The case is not closed yet")
        show_incident(common, wiring, incident)
        return ExitCode.OK


def show_link(common: Common, incident: str, step_up: StepUp, so_far: str) -> int:
    """Show the link by which a passkey must go on, and until when it is good."""
    from playbooks.timings import rfc3339

    data = {"incident": incident, "link": step_up.link, "expires_at": rfc3339(step_up.expires_at)}
    ends = f"{step_up.expires_at:%H:%M:%S} UTC"
    show(common, data, f"{so_far}: open this until {ends} and use your passkey.", step_up.link)
    return ExitCode.WAITING


def sitting(wiring: Wiring, by: str) -> Actor:
    """Who sits at the terminal: with a roster by the login alone, else by the name that was given."""
    from flows.admission import at_terminal
    from playbooks.desk import Actor

    if wiring.settings.roster is None:
        return Actor(account=whoami(by), via="cli")
    return at_terminal(wiring, login=login_name(), claimed=by)


def at_desk(wiring: Wiring, by: str) -> tuple[Desk, Actor]:
    """The desk, and who sits before it."""
    from flows.background import Background
    from flows.desk import ResponseDesk

    return ResponseDesk(wiring, Background(wiring)), sitting(wiring, by)


def show_incident(common: Common, wiring: Wiring, word: str) -> None:
    """Show one incident as it stands, by the roster as it is now."""
    from console.views import incident_data, incident_view
    from flows.lookup import named

    incident, authority = wiring.incident(named(wiring, word)), wiring.authority()
    show(common, incident_data(incident, authority), incident_view(incident, authority))


def _undone_line(undone: Undone) -> str:
    if undone.taken_back:
        return f"↶ {undone.step} was taken back."
    return f"{'✘' if undone.failed else '–'} {undone.step} stays: {undone.reason.rstrip('.')}."


def _in_estate(wiring: Wiring, target: str) -> None:
    from difflib import get_close_matches

    estate = wiring.estate
    known = [str(entry.ref) for entry in estate.keys]
    known += [str(entry.ref) for entry in estate.credentials] + [str(entry.ref) for entry in estate.datasets]
    near = get_close_matches(target, known, n=1, cutoff=0.8)
    if target not in known and near:
        raise InvalidInput(f"{target!r} is not in the estate.", hint=f"Did you mean {near[0]}?")


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
