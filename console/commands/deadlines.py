"""Commands of deadlines: what is due, when clocks began, what was filed, and by which rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from console.commands.incidents import As, Id, sitting
from console.output import Common, ExitCode, show

if TYPE_CHECKING:
    from flows.deadlines import CaseDeadlines
    from flows.wiring import Wiring

deadline = App(name="deadline", help="Who must be told until when: information, not legal advice.")

Rule = Annotated[str, Parameter(help="Name of the rule.")]
At = Annotated[str, Parameter(help="When: 2026-05-31T14:05, in the zone of the settings unless it names one.")]


@deadline.command(name="list")
def listed(
    incident: Annotated[
        str, Parameter(help="Id or code name of one incident. Default: all open and lately closed.")
    ] = "",
    /,
    *,
    common: Common = Common(),
) -> int:
    """List what is due, the most urgent first, and the clocks that nobody has started."""
    from flows.deadlines import everywhere, of_case
    from flows.overview import overview
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        cases = [of_case(wiring, incident)] if incident else everywhere(wiring, overview(wiring))
        _show(common, wiring, *cases)
    return ExitCode.OK


@deadline.command
def start(
    incident: Id,
    trigger: Annotated[str, Parameter(help="What became true, as `keyquell deadline list` names it.")],
    /,
    *,
    at: At = "",
    reason: Annotated[str, Parameter(help="Why it is so.")] = "",
    by: As = "",
    common: Common = Common(),
) -> int:
    """Record when a clock began to run, once; without --at it begins now."""
    from flows.deadlines import moment_of, start_clock
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        moment = moment_of(at, wiring.settings.deadlines.timezone)
        _show(common, wiring, start_clock(wiring, sitting(wiring, by), incident, trigger, at=moment, reason=reason))
    return ExitCode.OK


@deadline.command
def file(
    incident: Id,
    rule: Rule,
    /,
    *,
    at: At = "",
    reference: Annotated[str, Parameter(help="The recipient's reference.")] = "",
    by: As = "",
    common: Common = Common(),
) -> int:
    """Record that a deadline was filed, once; without --at it was filed now."""
    from flows import deadlines
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        moment = deadlines.moment_of(at, wiring.settings.deadlines.timezone)
        actor = sitting(wiring, by)
        _show(common, wiring, deadlines.file(wiring, actor, incident, rule, at=moment, reference=reference))
    return ExitCode.OK


@deadline.command(name="not-due")
def not_due(
    incident: Id,
    rule: Rule,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why; it stands in the record.")],
    by: As = "",
    common: Common = Common(),
) -> int:
    """Record the decision that a deadline is not due, and why."""
    from flows.deadlines import decide_not_due
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        _show(common, wiring, decide_not_due(wiring, sitting(wiring, by), incident, rule, reason=reason))
    return ExitCode.OK


@deadline.command
def rules(
    *,
    check: Annotated[Path | None, Parameter(help="Read this file of rules and say what is wrong with it.")] = None,
    common: Common = Common(),
) -> int:
    """Show every rule: how it counts, whether it applies, its source and the day that was read."""
    from console.deadline_views import rules_data, rules_view
    from flows.deadlines import book, rules_of
    from flows.wiring import Wiring
    from playbooks.deadlines.words import NOT_ADVICE

    if check is not None:
        read = rules_of(check)
        said = f"{check}: {len(read.rules)} rules of {len(read.regimes)} regimes, and nothing is wrong with them."
        show(common, {"file": str(check), "rules": len(read.rules), "regimes": list(read.regimes)}, said)
        return ExitCode.OK
    with Wiring.from_file(common.config) as wiring:
        found, now = book(wiring), wiring.clock()
    show(common, {"rules": rules_data(found, now), "notice": NOT_ADVICE}, rules_view(found, now), NOT_ADVICE)
    return ExitCode.OK


def _show(common: Common, wiring: Wiring, *cases: CaseDeadlines) -> None:
    """Real cases first; exercises are never among them."""
    from console.deadline_views import case_data, case_view
    from playbooks.deadlines.words import NOT_ADVICE

    ordered = sorted(cases, key=lambda each: each.exercise)
    data = {"cases": [case_data(each) for each in ordered], "notice": NOT_ADVICE}
    views = [case_view(each, wiring.clock()) for each in ordered]
    show(common, data, *views, *([] if views else ["No case is open, and none was closed lately."]), NOT_ADVICE)
