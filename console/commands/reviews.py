"""Commands of the review: draft it, write its parts, agree on actions and settle them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from console.commands.incidents import As, Id, at_desk
from console.output import Common, ExitCode, show

review = App(name="review", help="What is learned from a case: the review, and the actions that follow.")

Part = Literal["summary", "worked", "hindered", "luck", "change"]


@review.command
def draft(
    incident: Id,
    /,
    *,
    output: Annotated[
        Path | None, Parameter(help="File that ends with .md, .html or .pdf. Default: print Markdown.")
    ] = None,
    common: Common = Common(),
) -> int:
    """Draft the review (of an exercise: the after-action report) from the record; every number names its event."""
    from console.report.review import review_markdown, write_review
    from flows.comparisons import comparison
    from flows.lookup import named
    from flows.overview import overview
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        incident = named(wiring, incident)
        events, now = wiring.records.events(incident), wiring.clock()
        compared = comparison(wiring, incident, overview(wiring).all())
    if output is None:
        text = review_markdown(events, now=now, compared=compared)
        show(common, {"incident": incident, "review": text}, text)
    else:
        write_review(events, output, now=now, compared=compared)
        show(common, {"incident": incident, "file": str(output)}, str(output))
    return ExitCode.OK


@review.command
def write(
    incident: Id,
    part: Annotated[Part, Parameter(help="Which part of the review.")],
    text: Annotated[str, Parameter(help="What stands there from now on.")],
    /,
    *,
    by: As = "",
    common: Common = Common(),
) -> int:
    """Write a part of the review, or replace it; what stood there before stays in the record."""
    from flows.reviews import write_parts
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        _, actor = at_desk(wiring, by)
        found = write_parts(wiring, actor, incident, {part: text})
    show(common, {"incident": found, "part": part}, f"The part {part} of {found} is written.")
    return ExitCode.OK


@review.command
def action(
    incident: Id,
    text: Annotated[str, Parameter(help="What is to be done.")],
    /,
    *,
    owner: Annotated[str, Parameter(help="Who does it.")],
    due: Annotated[str, Parameter(help="Until when: YYYY-MM-DD.")],
    by: As = "",
    common: Common = Common(),
) -> int:
    """Agree on an action, with owner and day; `keyquell review actions` lists it until it is settled."""
    from flows.reviews import add_action
    from flows.wiring import Wiring
    from playbooks.errors import InvalidInput

    try:
        day = date.fromisoformat(due)
    except ValueError as error:
        raise InvalidInput(f"--due: {due!r} is no day.", hint="Write it as 2026-05-31.") from error
    with Wiring.from_file(common.config) as wiring:
        _, actor = at_desk(wiring, by)
        added = add_action(wiring, actor, incident, text=text, owner=owner, due=day)
    show(common, _data(added), f"Action {added.id}: {added.owner}, until {added.due}: {added.text}")
    return ExitCode.OK


@review.command
def settle(
    incident: Id,
    name: Annotated[str, Parameter(help="The action's name.")],
    /,
    *,
    drop: Annotated[bool, Parameter(help="It will not be done; needs --reason.", negative="")] = False,
    reason: Annotated[str, Parameter(help="What was done, or why it is dropped.")] = "",
    by: As = "",
    common: Common = Common(),
) -> int:
    """Say that an action is done, or that it is dropped and why."""
    from flows.reviews import settle_action
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        _, actor = at_desk(wiring, by)
        outcome: Literal["done", "dropped"] = "dropped" if drop else "done"
        settled = settle_action(wiring, actor, incident, name, outcome=outcome, reason=reason)
    show(common, _data(settled), f"Action {settled.id} is {settled.outcome}.")
    return ExitCode.OK


@review.command
def actions(*, common: Common = Common()) -> int:
    """List what is still to be done, of every case, the most urgent first."""
    from flows.reviews import open_actions
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        found = open_actions(wiring)
        today = wiring.clock().date()
    lines = [
        f"{'LATE ' if each.due < today else ''}{each.due} {each.owner}: {each.text} ({case}, {each.id})"
        for case, each in found
    ]
    data = [{"incident": case, **_data(each)} for case, each in found]
    show(common, {"actions": data}, *(lines or ["Nothing is left to be done."]))
    return ExitCode.OK


def _data(each: Any) -> dict[str, str]:
    names = ("id", "text", "owner", "outcome", "reason")
    return {**{name: getattr(each, name) for name in names}, "due": each.due.isoformat()}
