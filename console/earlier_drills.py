"""What a drill is briefed with and compared with: actions that earlier cases left open, and earlier drills' records."""

from __future__ import annotations

from pathlib import Path

from flows.comparisons import waiting
from flows.overview import overview
from flows.wiring import Wiring
from integrations.records.export import read_export
from playbooks.comparison import Returned
from playbooks.errors import KeyquellError
from playbooks.summary import Summary, summary_of

_MOST_READ = 60
"""So many of the newest folders are looked at."""


def left_to_do(config: Path | None, playbook: str) -> tuple[Returned, ...]:
    """The open actions of the installation's cases of a playbook; none where there is no installation to be read.

    Raises KeyquellError when ``config`` is given and it, or its record, cannot be read.
    """
    try:
        with Wiring.from_file(config) as wiring:
            return tuple(waiting(wiring, playbook, overview(wiring).all()))
    except KeyquellError:
        if config is not None:
            raise
        return ()


def earlier_drills(folder: Path, scenario: str) -> tuple[Summary, ...]:
    """The drills of a scenario whose results are kept in ``folder``, the latest first; damaged records are left out."""
    found = []
    for record in sorted(folder.glob(f"*-{scenario}-*/record.ndjson"), reverse=True)[:_MOST_READ]:
        try:
            found.append(summary_of(read_export(record)))
        except KeyquellError:
            continue
    return tuple(found)


def briefing(returned: tuple[Returned, ...]) -> list[str]:
    """What is said before a drill begins: each open action with its owner and day."""
    if not returned:
        return []
    lines = [f"Open from earlier cases of this playbook ({len(returned)}):"]
    lines += [f"  {each.action.due} {each.action.owner}: {each.action.text} ({each.codename})" for each in returned]
    return lines
