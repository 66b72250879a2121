"""Commands by which people decide: approve, acknowledge, who, break the glass and review it."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from console.commands.incidents import As, Code, Id, at_desk, show_incident, show_link, sitting
from console.output import Common, ExitCode, show

Digest = Annotated[str, Parameter(help="Digest of the plan you looked at (the first 12 characters or more).")]


def approve(
    incident: Id,
    /,
    *,
    digest: Digest,
    code: Code = "",
    by: As = "",
    deny: Annotated[bool, Parameter(help="Say no instead: stops every step that needs approval.", negative="")] = False,
    reason: Annotated[str, Parameter(help="Why not, with --deny.")] = "",
    common: Common = Common(),
) -> int:
    """Approve exactly the plan you saw; it counts for as long as the plan does not change.

    With a roster, what cannot be taken back needs a passkey: the answer is then a link to open in your browser.
    """
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        desk, actor = at_desk(wiring, by)
        if deny:
            desk.deny(actor, incident, digest=digest, reason=reason)
            show_incident(common, wiring, incident)
            return ExitCode.OK
        step_up = desk.approve(actor, incident, digest=digest, code=code)
        if step_up is None:
            show_incident(common, wiring, incident)
            return ExitCode.OK
    return show_link(common, incident, step_up, "Not approved yet")


def acknowledge(incident: Id, /, *, by: As = "", common: Common = Common()) -> int:
    """Take the case: nobody else is called."""
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        desk, actor = at_desk(wiring, by)
        desk.acknowledge(actor, incident)
        show_incident(common, wiring, incident)
        return ExitCode.OK


def who(incident: Id, /, *, by: As = "", common: Common = Common()) -> int:
    """Show who responds, who agreed, who is missing and who is called next."""
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        desk, actor = at_desk(wiring, by)
        said = list(desk.who(actor, incident))
    show(common, {"incident": incident, "who": said}, *said)
    return ExitCode.OK


def break_glass(
    incident: Id,
    /,
    *,
    digest: Digest,
    reason: Annotated[str, Parameter(help="Why it cannot wait for a passkey. Everybody reads it.")],
    code: Code = "",
    by: As = "",
    common: Common = Common(),
) -> int:
    """Approve without a passkey, in the open: custodians and responders are told, and another person reviews it."""
    from flows.break_glass import break_glass as break_it
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        incident = break_it(wiring, sitting(wiring, by), incident, digest=digest, reason=reason, code=code)
        show_incident(common, wiring, incident)
        return ExitCode.OK


def review_glass(
    incident: Id,
    /,
    *,
    verdict: Annotated[Literal["justified", "not-justified"], Parameter(help="Was it right?")],
    text: Annotated[str, Parameter(help="What you found.")] = "",
    by: As = "",
    common: Common = Common(),
) -> int:
    """Say whether it was right to break the glass; only somebody else than who broke it can."""
    from flows.break_glass import review_glass as review
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        incident = review(wiring, sitting(wiring, by), incident, verdict=verdict, text=text)
        show_incident(common, wiring, incident)
        return ExitCode.OK
