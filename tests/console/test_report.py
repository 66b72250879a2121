"""The report says first what matters, hides nothing, loads nothing, and shows hostile text as text."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_example import CARDS, Writer, attempts, events, opening, plan, requests, result

from console.report import render_report, write_drill_report, write_report
from console.report.sections import decisions, moments
from console.report.timeline import draw, since
from playbooks.record import EventKind
from playbooks.timings import Timings

HOSTILE = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"


class Elements(HTMLParser):
    """Collects elements and what they would load."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.loads += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        assert not any(name.startswith("on") for name, _ in attrs)


def parsed(page: str) -> Elements:
    found = Elements()
    found.feed(page)
    return found


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL))


def test_a_good_drill_says_so_in_its_first_sentence() -> None:
    """Time, proof, data and service stand in the one heading."""
    page = render_report(result(), events(), attempts(), requests())
    [heading] = re.findall(r"<h1>(.*?)</h1>", page)
    assert "Contained in 2.7\u00a0s, proven after 3.0\u00a0s; no data lost; service down 1.5\u00a0s." in heading


def test_a_drill_that_was_not_contained_says_not_contained_first() -> None:
    """Nothing softens it."""
    page = render_report(result(contained=False), events(), attempts(), requests())
    [heading] = re.findall(r"<h1>(.*?)</h1>", page)
    assert "NOT CONTAINED" in heading


def test_an_invalid_drill_claims_nothing() -> None:
    """Whatever it measured, it is no evidence."""
    good = result()
    invalid = good.model_copy(
        update={
            "valid": False,
            "objectives": (
                good.objectives[0].model_copy(update={"passed": False, "note": "the adversary never succeeded"}),
                *good.objectives[1:],
            ),
        }
    )
    [heading] = re.findall(r"<h1>(.*?)</h1>", render_report(invalid, events(), attempts(), requests()))
    assert "This drill shows nothing: the adversary never succeeded." in heading
    assert "Contained" not in heading


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    """No scripts, no links, no addresses of any other machine."""
    page = render_report(result(), events(), attempts(), requests())
    found = parsed(page)
    assert found.loads == []
    assert not found.names & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert not re.search(r"https?:|//|@import|url\(", page)


def test_hostile_text_is_shown_as_text() -> None:
    """Whoever controls a finding's summary, a refusal code or a name does not control the page."""
    writer = Writer()
    opening(writer, codename=HOSTILE, summary=HOSTILE)
    writer.add(3, EventKind.APPROVAL_DENIED, approver=HOSTILE, digest=plan().digest, reason=HOSTILE)
    writer.add(3.1, EventKind.NOT_CONTAINED, reasons=(HOSTILE,))
    writer.add(3.2, EventKind.MESSAGE_QUEUED, id="m", audience=HOSTILE, subject=HOSTILE, body=HOSTILE)
    tries = [attempt.model_copy(update={"code": HOSTILE, "ok": False}) for attempt in attempts()]
    failing = [request.model_copy(update={"code": HOSTILE, "ok": False}) for request in requests()]
    page = render_report(None, writer.events, tries, failing)
    assert "alert(" in page
    assert not parsed(page).names & {"script", "img"}


def test_a_real_incident_needs_neither_attacker_nor_workload() -> None:
    """The record alone makes a page, which owns up to not knowing the attacker's side."""
    page = render_report(None, events(exercise=False))
    text = text_of(page)
    assert "after detection, proven by probes; data safe, service restored, closed." in text
    assert "Attacker" not in text
    assert "known in drills alone" in text
    assert "<svg" in page


def test_an_open_incident_is_not_called_contained() -> None:
    """Before the probes there is no containment, whatever was accepted."""
    writer = Writer()
    opening(writer, exercise=False)
    [heading] = re.findall(r"<h1>(.*?)</h1>", render_report(None, writer.events))
    assert "NOT CONTAINED YET" in heading


def test_a_leak_that_nobody_noticed_still_has_a_report() -> None:
    """No record at all: attacker and service are drawn, and the evidence says that there is none."""
    page = render_report(result(contained=False), [], attempts(), requests())
    assert "NOT VERIFIED" in page
    assert "<svg" in page


@pytest.mark.parametrize(
    "needle",
    [
        "nobody wrote down how long they are kept",
        "stays known to the attacker",
        "grants in other accounts",
        "AWS KMS cannot forbid encryption alone",
        "InvalidClientTokenId",
        "keyquell record verify record.ndjson --head",
        "chain verified",
        "Ana",
        CARDS,
        "NOT DELIVERED",
    ],
)
def test_unknowns_residue_proof_and_evidence_are_all_there(needle: str) -> None:
    """What a reader must be able to find."""
    assert needle in text_of(render_report(result(), events(), attempts(), requests()))


def test_an_altered_record_is_called_not_verified() -> None:
    """The page checks the chain itself."""
    chain = events()
    chain[3] = chain[3].model_copy(update={"at": chain[3].at + timedelta(microseconds=1)})
    assert "NOT VERIFIED" in render_report(None, chain)


def test_the_report_is_written_into_the_folder(tmp_path: Path) -> None:
    """A drill's output folder without journals or record still gets a page."""
    assert write_report(tmp_path, events=events()) == tmp_path / "report.html"
    page = write_drill_report(result(), tmp_path)
    assert "Contained in 2.7\u00a0s" in page.read_text(encoding="utf-8")


def test_labels_of_moments_never_overlap() -> None:
    """Labels that would touch go to rows of their own; nothing leaves the picture."""

    named = moments(result(), Timings.of(events()))
    picture = draw(named, events(), attempts(), requests(), plan=plan(), zero=named[0].at)
    assert picture is not None
    boxes = []
    for flag in picture.flags:
        width = len(flag.label) * 6.9
        left = flag.label_x if flag.anchor == "start" else flag.label_x - width
        assert left >= 0
        assert left + width <= picture.width
        assert not any(y == flag.label_y and left < r and l_ < left + width for l_, r, y in boxes)
        boxes.append((left, left + width, flag.label_y))
    assert all(mark.x >= 0 and mark.x + mark.width <= picture.width for mark in picture.marks)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (3.21, "+3.21 s"), (-2, "−2 s"), (600, "+10 min"), (90000, "+25 h")]
)
def test_times_are_written_for_people(seconds: float, words: str) -> None:
    """Seconds, then minutes, then hours."""
    assert since(seconds) == words


def test_a_confirmation_stands_among_the_decisions() -> None:
    """Who took containment back or ended the case, and how they showed that it was they."""
    writer = Writer()
    opening(writer)
    made = plan()
    confirmed = {"by": "alice", "digest": made.digest, "method": "totp"}
    writer.add(1, EventKind.CONFIRMED, deed="undo", **confirmed)
    [(_, who, what, digest)] = list(decisions(writer.events, writer.events[0].at))
    assert (who, what, digest) == ("alice", "confirmed (totp): take back what was done", made.digest)
