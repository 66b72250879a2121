"""The review in every format says the same, names the event behind each number, and obeys nothing that others wrote."""

from __future__ import annotations

import re
import stat
from datetime import timedelta
from pathlib import Path

import pytest
import report_example as example
from written_case import Case

from console.report.review import review_html, review_markdown, review_pdf, write_review
from playbooks.comparison import beside
from playbooks.errors import InvalidInput, RecordError
from playbooks.record import EventKind
from playbooks.review import draft_review
from playbooks.summary import summary_of

NOW = example.at(60)
DAY = timedelta(days=1)


def test_every_number_names_an_event_that_is_there() -> None:
    """In the page, each reference leads to a row of the list of events; so it does in Markdown."""
    events = example.events()
    page, text = review_html(events, now=NOW), review_markdown(events, now=NOW)
    for found, document in (
        (re.findall(r'href="#(event-\d+)"', page), page),
        (re.findall(r"\(#(event-\d+)\)", text), text),
    ):
        assert len(found) > 5
        assert all(f'id="{each}"' in document for each in found)


def test_an_exercise_is_an_after_action_report_and_says_so() -> None:
    """A real case is a review, and is never called an exercise."""
    drill, real = review_html(example.events(), now=NOW), review_html(example.events(exercise=False), now=NOW)
    assert "After-action report" in drill
    assert "Exercise." in drill
    assert "Post-incident review" in real
    assert "Exercise." not in real


def test_an_exercise_of_virtual_time_says_so_beside_others_too() -> None:
    """In its first lines, and over its column; one of real time says nothing of it."""
    played = Case(exercise=True, virtual_time=True)
    line = summary_of(played.events)
    before = line.model_copy(update={"id": "KQ-0", "virtual_time": False, "opened_at": line.opened_at - DAY})
    compared = beside(line, [before], [], now=NOW)
    for made in (review_html, review_markdown):
        text = made(played.events, now=NOW, compared=compared)
        assert "Its times are virtual." in text
        assert text.count("virtual time") == 1
        assert "virtual" not in made(Case(exercise=True).events, now=NOW)


def test_the_moments_are_those_of_the_record() -> None:
    """Counted from the first event, in order, each with its number."""
    events = example.events()
    review = draft_review(events, now=NOW)
    contained = next(each for each in review.moments if each.what.startswith("Contained"))
    event = events[contained.seq]
    assert event.kind is EventKind.CONTAINED
    assert contained.after == event.at - events[0].at
    assert all(step.seq is None or str(events[step.seq].body["step"]) == step.step for step in review.steps)


def test_what_nobody_has_written_is_asked_for() -> None:
    """An empty part shows its question and not an empty place."""
    assert review_markdown(example.events(), now=NOW).count("Not written yet.") == 5


def test_a_pdf_is_made_with_several_pages_of_text() -> None:
    """A real PDF, from the same page."""
    made = review_pdf(example.events(), now=NOW)
    assert made.startswith(b"%PDF-")
    assert b"%%EOF" in made[-64:]


@pytest.mark.parametrize("ending", ["md", "html", "pdf"])
def test_a_file_is_written_whole(tmp_path: Path, ending: str) -> None:
    """In the format that its name ends with, and nothing beside it."""
    file = tmp_path / f"review.{ending}"
    write_review(example.events(), file, now=NOW)
    assert file.stat().st_size > 1000
    assert stat.S_ISREG(file.stat().st_mode)
    assert list(tmp_path.iterdir()) == [file]


def test_another_ending_or_a_missing_folder_is_told(tmp_path: Path) -> None:
    """With the way out, and nothing is written."""
    with pytest.raises(InvalidInput, match=r"\.md, \.html, \.pdf"):
        write_review(example.events(), tmp_path / "review.docx", now=NOW)
    with pytest.raises(InvalidInput, match="cannot be written"):
        write_review(example.events(), tmp_path / "gone" / "review.md", now=NOW)
    assert not list(tmp_path.iterdir())


def test_no_events_make_no_review() -> None:
    """There is nothing to review."""
    with pytest.raises(RecordError):
        review_markdown([], now=NOW)


def test_names_that_others_wrote_are_no_marks(tmp_path: Path) -> None:
    """Neither in HTML nor in Markdown, and the PDF fetches nothing."""
    writer = example.Writer()
    example.opening(writer, codename="<img src=http://evil.example/x>|[a](javascript:b)")
    page, text = review_html(writer.events, now=NOW), review_markdown(writer.events, now=NOW)
    assert "<img" not in page
    assert "<img" not in text
    assert "[a](javascript:b)" not in text
    write_review(writer.events, tmp_path / "review.pdf", now=NOW)


def test_how_long_it_took_has_its_bounds_and_its_proof() -> None:
    """Noticed at 2.1 s, contained at 3.15 s; when the key got out stands nowhere, and is not guessed."""
    text = review_markdown(example.events(), now=NOW)
    assert "| From being noticed until probes proved containment | 1.05 s |" in text
    assert "| From its occurrence until it was noticed | not known: nobody has recorded when it occurred |" in text


def test_what_is_not_over_is_not_called_so() -> None:
    """The same case before it is contained."""
    writer = example.Writer()
    example.opening(writer)
    text = review_markdown(writer.events, now=NOW)
    assert "| From being noticed until probes proved containment | not yet; over 57.90 s so far |" in text
