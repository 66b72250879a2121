"""Commands on incidents: declare, plan, approve, run, status, undo, close."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from cyclopts import Parameter

from console.output import Common, ExitCode, show, whoami
from playbooks.exposures import ExposureKind

Kind = Literal[
    "credential", "policy", "key-material", "data-key", "signing-key", "issuing-key", "algorithm", "availability"
]
As = Annotated[str, Parameter(name="--as", help="Your name in the record. Default: the login name.")]


def declare(
    target: Annotated[str, Parameter(help="URI of the exposed key or credential, as in the estate.")],
    *,
    kind: Annotated[Kind, Parameter(help="What the attacker has.")] = "credential",
    via: Annotated[str, Parameter(help="URI of the credential through which it got out, if known.")] = "",
    since: Annotated[datetime | None, Parameter(help="Last time it was known to be good.")] = None,
    severity: Literal["low", "medium", "high", "critical"] = "high",
    playbook: Annotated[str, Parameter(help="Playbook to use. Default: chosen by what is exposed.")] = "",
    plan_only: Annotated[bool, Parameter(help="Show the plan and change nothing.", negative="")] = False,
    by: As = "",
    common: Common = Common(),
) -> int:
    """Open an incident, plan it, and run the pre-approved containment at once."""
    from playbooks.plan_text import plan_diff

    from console.views import incident_data, incident_view, plan_data
    from flows.engine import contain_now
    from flows.intake import declare as open_incident
    from flows.intake import preview
    from flows.wiring import Wiring
    from playbooks.exposures import Exposure, Interval

    occurred = Interval(not_before=_aware(since))
    exposure = Exposure(kind=ExposureKind(kind), target=target, via=via, occurred=occurred, confidence=1.0)
    with Wiring.from_file(common.config) as wiring:
        if plan_only:
            plan, facts = preview(wiring, [exposure], requested_by=whoami(by))
            show(common, plan_data(plan), plan_diff(plan, facts))
            return ExitCode.OK
        incident_id = open_incident(wiring, [exposure], requested_by=whoami(by), severity=severity, playbook=playbook)
        incident = contain_now(wiring, incident_id)
        show(common, incident_data(incident), incident_view(incident))
        return ExitCode.FAILED if incident.not_contained else ExitCode.OK


def plan(incident: str, *, common: Common = Common()) -> int:
    """Show the plan of an incident as a diff; make it again when the facts changed and nothing ran yet."""
    from playbooks.plan_text import plan_diff

    from console.views import plan_data
    from flows.intake import replan
    from flows.wiring import Wiring
    from playbooks.refs import KeyRef

    with Wiring.from_file(common.config) as wiring:
        made = replan(wiring, incident)
        facts = {KeyRef.parse(uri): fact for uri, fact in wiring.incident(incident).facts.items()}
        show(common, plan_data(made), plan_diff(made, facts))
        return ExitCode.OK


def approve(
    incident: str,
    *,
    digest: Annotated[str, Parameter(help="Digest of the plan you looked at (the first 8 characters or more).")],
    by: As = "",
    deny: Annotated[bool, Parameter(help="Say no instead: stops every step that needs approval.", negative="")] = False,
    reason: str = "",
    common: Common = Common(),
) -> int:
    """Approve exactly the plan you saw; it counts for as long as the plan does not change."""
    from console.views import incident_data, incident_view
    from flows import intake
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        if deny:
            intake.deny(wiring, incident, approver=whoami(by), digest=digest, reason=reason or "no reason given")
        else:
            intake.approve(wiring, incident, approver=whoami(by), digest=digest)
        now = wiring.incident(incident)
        show(common, incident_data(now), incident_view(now))
        return ExitCode.OK


def run(
    incident: str,
    *,
    wait: Annotated[float, Parameter(help="Seconds to wait for approvals before giving the terminal back.")] = 0.0,
    common: Common = Common(),
) -> int:
    """Go on with the response, until it is closed, blocked or waits for approval. May be killed and run again."""
    from console.views import incident_data, incident_view
    from flows.run import run_response
    from flows.settings import load_settings
    from flows.wiring import Wiring

    settings = load_settings(common.config)
    with Wiring.open(settings) as wiring:
        wiring.incident(incident)
        ended = run_response(settings.source, incident, wait_for_approval_seconds=wait)
        now = wiring.incident(incident)
        show(common, {**incident_data(now), "ended": ended}, incident_view(now))
    return {"closed": ExitCode.OK, "waiting": ExitCode.WAITING}.get(ended, ExitCode.FAILED)


def status(incident: str = "", *, common: Common = Common()) -> int:
    """Show one incident, or all that are open."""
    from console.views import incident_data, incident_view
    from flows.intake import open_incidents
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        if incident:
            one = wiring.incident(incident)
            show(common, incident_data(one), incident_view(one))
            return ExitCode.OK
        found = open_incidents(wiring)
        views = [incident_view(each) for each in found] or ["Nothing is burning: no open incident."]
        show(common, {"open": [incident_data(each) for each in found]}, *views)
        return ExitCode.OK


def undo(incident: str, *, by: As = "", common: Common = Common()) -> int:
    """Take back the reversible steps of a false alarm, the last first."""
    from flows.undo import undo as take_back
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        results = take_back(wiring, incident, by=whoami(by))
    lines = [f"↶ {each.step}" if each.taken_back else f"– {each.step}: {each.reason}" for each in results]
    data = [{"step": each.step, "taken_back": each.taken_back, "reason": each.reason} for each in results]
    show(common, {"incident": incident, "steps": data}, *lines)
    return ExitCode.OK if any(each.taken_back for each in results) else ExitCode.FAILED


def close(
    incident: str,
    *,
    outcome: Annotated[Literal["recovered", "false-alarm", "not-contained"], Parameter(help="How it ended.")],
    by: As = "",
    common: Common = Common(),
) -> int:
    """End a case; refused when the record contradicts the outcome."""
    from console.views import incident_data, incident_view
    from flows import intake
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        intake.close(wiring, incident, by=whoami(by), outcome=outcome)
        now = wiring.incident(incident)
        show(common, incident_data(now), incident_view(now))
        return ExitCode.OK


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
