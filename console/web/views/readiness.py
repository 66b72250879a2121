"""Readiness: which ways of losing a key were drilled, when last, what is open, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from console.kept_drills import KeptDrills
from console.web.measure_rows import classes
from console.web.site import Section, Site
from flows.prefect_server import default_home
from flows.readiness import Planned, actions_left, planned
from playbooks.errors import InvalidInput
from playbooks.metrics.reading import lasted
from playbooks.readiness import STALE, Drilled, KeyClass, Offer, Way, key_classes
from playbooks.summary import Summary
from playbooks.what_next import Next, what_next
from simulations.scenario import load, scenarios

SECTION = Section("/readiness", "Readiness", "What was drilled, what was not, and what is next?")
MOST = 50
_BACKENDS = {"aws-kms": "aws-kms", "pkcs11": "pkcs11", "transit": "openbao"}
"""By the beginning of an attacker's technique: the backend whose keys it takes."""
PURPOSES = {"encrypt": "encrypting", "sign": "signing"}


@dataclass(frozen=True, slots=True)
class Line:
    """A way of losing a key as it is shown: ``mark`` is ``yes``, ``no`` or ``wait``."""

    way: Way
    mark: str
    said: str


def router(site: Site) -> APIRouter:
    """``GET /readiness``."""
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
    home = default_home()
    drills = KeptDrills(home / "drills")

    @routes.get("/readiness")
    async def readiness(request: Request) -> HTMLResponse:
        site.visitors.of(request)
        now = site.wiring.clock()

        def schedule() -> list[Planned]:
            return planned(home, now=now)

        content = await site.people.run(_content, site, drills, schedule, now)
        return site.show(request, "readiness.html", section=SECTION, **content)

    return routes


def _content(site: Site, kept: KeptDrills, schedule: Any, now: datetime) -> dict[str, Any]:
    broken = []
    try:
        scheduled = schedule()
    except InvalidInput as error:
        scheduled = []
        broken.append(str(error))
    recorded = site.overview.all()
    drilled = _drilled(recorded, kept)
    offers = _offers(site, drilled)
    found: list[KeyClass] = []
    try:
        found = key_classes(site.wiring.estate, site.wiring.catalog, drilled, offers)
    except InvalidInput as error:
        broken.append(str(error))
    actions = actions_left(site.wiring)
    return {
        "broken": broken,
        "classes": [(each, [_line(way, now) for way in each.ways]) for each in found],
        "purposes": PURPOSES,
        "figures": _figures(found, drilled),
        "heading": _heading(found),
        "next": what_next(found, actions, [each.scenario for each in scheduled], now=now)
        if not broken
        else Next("Correct what cannot be read."),
        "scenarios": [(each, _of(each, drilled), _said(_of(each, drilled), now)) for each in offers],
        "planned": {each.scenario: each for each in scheduled},
        "actions": actions,
        "names": {each.id: each.codename for each in recorded},
        "today": now.date(),
        "most": MOST,
    }


def _drilled(recorded: Sequence[Summary], kept: KeptDrills) -> list[Drilled]:
    """Drills of the record, which have no score, and the drills whose results are kept, which have."""
    known = {each.id for each in recorded}
    found = [_one(each, passed=None, page=True) for each in recorded if each.is_drill]
    return found + [
        _one(each.summary, passed=each.passed, page=False) for each in kept.all() if each.summary.id not in known
    ]


def _one(case: Summary, *, passed: bool | None, page: bool) -> Drilled:
    return Drilled(
        incident=case.id,
        codename=case.codename,
        scenario=case.scenario,
        playbook=case.playbook,
        schemes=frozenset(classes(case)),
        at=case.opened_at,
        passed=passed,
        by=case.requested_by,
        page=page,
    )


def _offers(site: Site, drilled: Sequence[Drilled]) -> list[Offer]:
    """The scenarios that come with keyquell; one practises the playbook of its name, or the one its drills ran by."""
    by_drill = {each.scenario: each.playbook for each in drilled if each.scenario}
    found = []
    for name in scenarios():
        scenario = load(name)
        playbook = name if name in site.wiring.catalog else by_drill.get(name, "")
        technique = scenario.adversary.technique
        scheme = next((each for start, each in _BACKENDS.items() if technique.startswith(start)), "")
        found.append(Offer(name, scenario.title, playbook, scheme))
    return found


def _of(offer: Offer, drilled: Sequence[Drilled]) -> Drilled | None:
    return max((each for each in drilled if each.scenario == offer.scenario), key=lambda each: each.at, default=None)


def _line(way: Way, now: datetime) -> Line:
    if way.last is None:
        return Line(way, "no", _said(None, now))
    fresh = way.proven and now - way.last.at <= STALE
    return Line(way, "yes" if fresh else "wait" if way.last.passed is not False else "no", _said(way.last, now))


def _said(last: Drilled | None, now: datetime) -> str:
    if last is None:
        return "never drilled"
    ended = {True: "passed", False: "did not pass", None: "was not scored"}[last.passed]
    old = ", over a year old" if now - last.at > STALE else ""
    return f"drilled {lasted(max(0.0, (now - last.at).total_seconds()))} ago, {ended}{old}"


def _figures(found: Sequence[KeyClass], drilled: Sequence[Drilled]) -> list[tuple[str, str, str]]:
    """Each with the number that it is out of: (count, words, tone)."""
    ways = [way for each in found for way in each.ways]
    keys, data = (sum(getattr(each, part) for each in found) for part in ("keys", "datasets"))
    drilled_keys, drilled_data = (
        sum(getattr(each, part) for each in found if each.covered) for part in ("keys", "datasets")
    )
    figures = [
        (f"{drilled_keys:,} of {keys:,}", "keys of a class that was drilled and passed", _tone(drilled_keys, keys)),
        (f"{drilled_data:,} of {data:,}", "datasets under such a key", _tone(drilled_data, data)),
        (
            f"{sum(each.proven for each in ways)} of {len(ways)}",
            "ways to lose a key, drilled and passed",
            _tone(sum(each.proven for each in ways), len(ways)),
        ),
        (
            f"{sum(each.passed is True for each in drilled):,} of {len(drilled):,}",
            "exercises, scored and passed",
            "",
        ),
    ]
    return [each for each in figures if not each[0].endswith(" of 0")]


def _tone(count: int, total: int) -> str:
    return "good" if total and count == total else "bad" if total and not count else ""


def _heading(found: Sequence[KeyClass]) -> str:
    if not found:
        return "No key is known, so nothing can be said of readiness."
    covered = sum(each.covered for each in found)
    word = "class" if len(found) == 1 else "classes"
    were = "was" if 1 in (covered, len(found)) else "were"
    return f"{covered} of {len(found)} {word} of keys {were} drilled with success."
