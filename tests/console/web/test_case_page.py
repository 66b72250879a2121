"""One case's page: when, what, how far, who was told, and the record behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from visiting import visiting
from web_office import CASE, KEY, WebOffice, web_office

from console.web.case_picture import NARROW, WIDE, draw_case
from console.web.census_bar import census_bar, size
from playbooks.event_bodies import body_of
from playbooks.exposures import Exposure, ExposureKind, Interval
from playbooks.receipts import Census
from playbooks.record import EventKind

NOW = datetime(2027, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[WebOffice]:
    """Alice's case, without a browser."""
    with web_office(tmp_path / "office") as found:
        found.case()
        yield found


def words(page: str) -> str:
    """A page's text on one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def census(**parts: int) -> Census:
    """A count of one dataset."""
    return Census(dataset="files:docs/invoices", bytes=1_400_000, taken_at=NOW, **parts)  # type: ignore[arg-type]


def test_the_page_leads_to_everything_about_the_case(office: WebOffice) -> None:
    """What burns, when, who decides, what is not shown, the plan, deadlines, messages and evidence."""
    page = visiting(office).get(f"/incidents/{CASE}").text
    for heading in ("When", "Who decides", "Data and reach", "What is not shown", "The plan", "Messages", "Evidence"):
        assert f">{heading}</h2>" in page
    for link in (f"/incidents/{CASE}/review", f"/estate?incident={CASE}", f"/incidents/{CASE}/record", "/deadlines"):
        assert f'href="{link}"' in page
    assert "not yet, after" in page
    assert "Distances are logarithmic." in page


def test_messages_that_failed_stand_before_those_that_wait_and_those_that_were_sent(office: WebOffice) -> None:
    """With the channel and how often it refused."""
    queue = {"subject": "a key leaked", "body": "…"}
    for name in ("one", "two", "three"):
        office.write(EventKind.MESSAGE_QUEUED, id=name, audience=name, **queue)
    office.write(EventKind.MESSAGE_DELIVERED, id="one", channel="slack")
    for _ in range(2):
        office.write(EventKind.MESSAGE_FAILED, id="two", channel="mail", error="refused")
    office.write(EventKind.MESSAGE_DRAFTED, id="four", audience="customers", need_to_know="outside", **queue)
    text = words(visiting(office).get(f"/incidents/{CASE}").text)
    places = [
        text.index(each)
        for each in ("failed at mail (2 times)", "waits for a person to read it", "waits to be sent", "sent by slack")
    ]
    assert places[0] < min(places[1:3])
    assert max(places[1:3]) < places[3]


def test_the_census_is_a_bar_with_what_could_not_be_read(office: WebOffice) -> None:
    """And says that the old key must stay."""
    parts = {"objects": 1000, "on_new": 996, "on_old": 1, "failed": 1, "unreachable": 1, "unknown": 1}
    office.write(EventKind.CENSUS_TAKEN, census=census(**parts))
    text = visiting(office).get(f"/incidents/{CASE}").text
    assert "Of 1,000 objects 996 under the new key, 1 under the old key" in text
    assert "Not clear" in text
    assert "1.4 MB" in text


def test_checkpoints_name_their_event_and_what_stands_after_them(office: WebOffice) -> None:
    """Without one, the page says what that means."""
    client = visiting(office)
    assert "No checkpoint was signed yet" in client.get(f"/incidents/{CASE}").text
    signed = {"head": "0" * 64, "key": "the installation's own", "algorithm": "Ed25519", "public_key": "PEM"}
    office.write(EventKind.CHECKPOINT_SIGNED, seq=1, statement="{}", signature="AA==", **signed)
    office.write(EventKind.CHECKPOINT_ANCHORED, seq=1, head="0" * 64, place="channel", reference="message 7")
    page = client.get(f"/incidents/{CASE}").text
    assert f'href="/incidents/{CASE}/record?at=1#event-1"' in page
    assert "laid down at channel: message 7" in page


def test_the_record_shows_each_event_with_its_anchor(office: WebOffice) -> None:
    """On the page of the list on which it stands, whatever number is asked for."""
    for number in range(230):
        office.write(EventKind.NOTE, text=f"note {number}", by="bob")
    client = visiting(office)
    first, last = client.get(f"/incidents/{CASE}/record").text, client.get(f"/incidents/{CASE}/record?at=999").text
    assert "The record is whole." in first
    assert 'id="event-0"' in first
    assert 'id="event-0"' not in last
    assert 'id="event-233"' in last
    assert client.get(f"/incidents/{CASE}/record?at=-4").status_code == 200


@pytest.mark.parametrize("path", ["/incidents/KQ-NO", "/incidents/KQ-NO/record", "/incidents/<script>"])
def test_what_is_not_there_is_a_404(office: WebOffice, path: str) -> None:
    """And repeats no markup."""
    page = visiting(office).get(path, headers={"accept": "text/html"})
    assert page.status_code == 404
    assert "<script>" not in page.text


def test_what_others_wrote_is_text(office: WebOffice) -> None:
    """In messages, notes, censuses and checkpoints."""
    evil = "<script>alert(1)</script>\u202e"
    office.write(EventKind.MESSAGE_QUEUED, id="x", audience=evil, subject=evil, body=evil)
    office.write(EventKind.MESSAGE_FAILED, id="x", channel=evil, error=evil)
    office.write(EventKind.NOTE, text=evil, by=evil)
    office.write(EventKind.ACKNOWLEDGED, by=evil, via="slack")
    for path in (f"/incidents/{CASE}", f"/incidents/{CASE}/record"):
        text = visiting(office).get(path).text
        assert "<script>alert" not in text
        assert "\u202e" not in text


def test_a_part_that_is_there_at_all_stays_visible() -> None:
    """One object of a million is seen, and the bar is full."""
    bar = census_bar(census(objects=1_000_000, on_new=999_999, on_old=1))
    assert bar.segments[1].width >= 8
    assert bar.segments[0].width + bar.segments[1].width == pytest.approx(1000)
    assert census_bar(census(objects=0, on_new=0, on_old=0)).words == "No object was found."
    assert (size(999), size(1400), size(2_000_000_000)) == ("999 B", "1.4 kB", "2 GB")


def test_the_picture_tells_what_may_from_what_must_have_been_exposed(office: WebOffice) -> None:
    """An interval has two ends; without the first, nobody knows since when."""
    records, zero = office.wiring.records, office.wiring.incident(CASE).opened_at
    unknown = draw_case(office.wiring.incident(CASE), records.events(CASE), zero=zero, now=zero + timedelta(hours=1))
    assert "its beginning is not known" in unknown.words
    assert "Contained: not yet, after 60 min" in unknown.words
    began = Interval(not_before=zero - timedelta(days=3), not_after=zero - timedelta(hours=2))
    exposure = Exposure(kind=ExposureKind.SIGNING_KEY, target=KEY, occurred=began, confidence=1)
    office.write(EventKind.EXPOSURE_ADDED, exposure=exposure)
    records.append_next(CASE, kind=EventKind.CONTAINED, body=body_of(EventKind.CONTAINED, probes=3))
    incident = office.wiring.incident(CASE)
    picture = draw_case(incident, records.events(CASE), zero=zero, now=zero + timedelta(hours=1))
    maybe, sure = (next(each for each in picture.bars if each.style == style) for style in ("maybe", "exposed"))
    assert maybe.x < maybe.x + maybe.width == pytest.approx(sure.x, abs=0.2)
    assert sure.x < picture.zero < sure.x + sure.width
    places = [x for x, _ in picture.ticks]
    assert places == sorted(places)


def test_a_phone_is_shown_the_same_within_its_width(office: WebOffice) -> None:
    """Nothing that is said on a desk is left out, no bar leaves the picture, and no words stand upon bars or words."""
    records, incident = office.wiring.records, office.wiring.incident(CASE)
    zero = incident.opened_at
    wide, narrow = (
        draw_case(incident, records.events(CASE), zero=zero, now=zero + timedelta(days=40), layout=each)
        for each in (WIDE, NARROW)
    )
    assert narrow.words == wide.words
    for picture in (wide, narrow):
        assert all(each.x >= 0 and each.x + each.width <= picture.layout.width for each in picture.bars)
        assert all(0 <= x <= picture.layout.width - 20 for x, _ in picture.ticks)
        assert all(each.y + each.height <= picture.height - 20 for each in picture.bars)
    words = [each.y + narrow.layout.text_y for each in narrow.rows]
    assert all(later - earlier >= 14 for earlier, later in pairwise(words))
    assert not [each for each in narrow.bars if any(each.y < line < each.y + each.height for line in words)]
