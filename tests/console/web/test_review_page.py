"""The review's page: read by everybody, written by those who may, and every number leads to its event."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from visiting import visiting
from web_office import CASE, PEOPLE, WebOffice, web_office

from playbooks.record import EventKind
from playbooks.review import PARTS

PAGE = f"/incidents/{CASE}/review"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[WebOffice]:
    """Alice's case, and dora who only reads."""
    with web_office(tmp_path / "office") as found:
        found.roster([*PEOPLE, {"name": "dora", "roles": ["read"]}])
        found.case()
        yield found


def due(office: WebOffice, days: int = 9) -> str:
    """A day from now."""
    return (office.wiring.clock().date() + timedelta(days=days)).isoformat()


def agree(office: WebOffice, incident: str, text: str) -> str:
    """Bob adds an action by the page; its name."""
    form = {"text": text, "owner": "Bo", "due": due(office)}
    assert visiting(office).post(f"/incidents/{incident}/review/action", data=form).status_code == 200
    return list(office.wiring.incident(incident).oversight.actions)[-1]


def test_every_number_leads_to_an_event_of_the_record(office: WebOffice) -> None:
    """The link opens the record where that event stands."""
    client = visiting(office)
    page = client.get(PAGE).text
    assert "Post-incident review" in page
    links = set(re.findall(rf'href="(/incidents/{CASE}/record\?at=(\d+)#event-(\d+))"', page))
    assert len(links) >= 2
    for link, number, anchor in links:
        assert number == anchor
        assert f'id="event-{anchor}"' in client.get(link).text


def test_who_may_writes_parts_and_only_what_changed_is_written(office: WebOffice) -> None:
    """Two people who write at once lose nothing of each other."""
    client = visiting(office)
    seen = {f"was-{name}": "" for name in PARTS}
    carols = visiting(office, "carol")
    told = client.post(f"{PAGE}/write", data=seen | {"summary": "A key was out.\r\nFor an hour.", "luck": ""})
    assert told.status_code == 200
    assert carols.post(f"{PAGE}/write", data=seen | {"summary": "", "luck": "It was noon."}).status_code == 200
    written = office.wiring.incident(CASE).oversight.review
    assert written is not None
    assert written[1].parts == {"summary": "A key was out.\nFor an hour.", "luck": "It was noon."}
    assert written[1].by == "carol"
    page = client.get(PAGE).text
    assert "3 of 5 parts are not written yet." in page
    before = office.wiring.incident(CASE).events
    unchanged = {"was-luck": "It was noon.", "luck": "It was noon."}
    client.post(f"{PAGE}/write", data=unchanged)
    assert office.wiring.incident(CASE).events == before


def test_an_action_is_agreed_on_and_settled(office: WebOffice) -> None:
    """Done, or dropped for a reason."""
    client = visiting(office)
    first, second = agree(office, CASE, "Rotate yearly"), agree(office, CASE, "Cut the cache")
    client.post(f"{PAGE}/settle", data={"action": first, "outcome": "done", "reason": "It is in place."})
    bare = client.post(f"{PAGE}/settle", data={"action": second, "outcome": "dropped", "reason": " "})
    assert bare.status_code == 422
    assert "Nothing was written" in bare.text
    client.post(f"{PAGE}/settle", data={"action": second, "outcome": "dropped", "reason": "Too dear."})
    actions = office.wiring.incident(CASE).oversight.actions
    assert {name: each.outcome for name, each in actions.items()} == {first: "done", second: "dropped"}
    assert "Too dear." in client.get(PAGE).text


@pytest.mark.parametrize(
    ("what", "form"),
    [
        ("action", {"text": "x", "owner": "Bo", "due": "soon"}),
        ("action", {"text": "x", "owner": "Bo", "due": "2020-01-01"}),
        ("action", {"text": " ", "owner": "Bo", "due": "2999-01-01"}),
        ("settle", {"action": "none", "outcome": "done"}),
        ("write", {"summary": "x" * 8001}),
        ("burn", {}),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_is_written(office: WebOffice, what: str, form: dict[str, str]) -> None:
    """What was typed is still there."""
    before = office.wiring.incident(CASE).events
    page = visiting(office).post(f"{PAGE}/{what}", data=form)
    assert page.status_code == 422
    assert "Nothing was written" in page.text
    assert office.wiring.incident(CASE).events == before


def test_who_only_reads_sees_no_form_and_is_refused(office: WebOffice) -> None:
    """And the attempt is recorded; so is nothing from another site."""
    doras = visiting(office, "dora")
    page = doras.get(PAGE)
    assert page.status_code == 200
    assert '<form class="forms"' not in page.text
    assert doras.post(f"{PAGE}/write", data={"summary": "mine"}).status_code == 403
    assert office.wiring.incident(CASE).oversight.review is None
    assert any("role" in each for each in office.refusals())
    foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert visiting(office).post(f"{PAGE}/write", data={"summary": "theirs"}, headers=foreign).status_code == 403
    assert office.wiring.incident(CASE).oversight.review is None


@pytest.mark.parametrize(("ending", "begins"), [("md", b"# Post"), ("html", b"<!doctype html>"), ("pdf", b"%PDF-")])
def test_it_is_taken_as_a_document(office: WebOffice, ending: str, begins: bytes) -> None:
    """As a file, which no browser runs as a page of ours."""
    made = visiting(office).get(f"{PAGE}.{ending}")
    assert made.content.startswith(begins)
    assert made.headers["content-disposition"] == f'attachment; filename="review-{CASE}.{ending}"'
    assert visiting(office).get(f"{PAGE}.exe").status_code == 404


def test_what_is_not_there_is_a_404(office: WebOffice) -> None:
    """For reading, writing and taking."""
    client = visiting(office)
    for path in ("/incidents/KQ-NO/review", "/incidents/KQ-NO/review.md"):
        assert client.get(path).status_code == 404
    assert client.post("/incidents/KQ-NO/review/write", data={"summary": "x"}).status_code == 404


def test_what_others_wrote_is_text(office: WebOffice) -> None:
    """In parts, actions and names."""
    evil = "<script>alert(1)</script>\u202e</textarea>"
    office.write(EventKind.REVIEW_WRITTEN, by=evil, head="0" * 64, parts={"summary": evil})
    office.write(EventKind.ACTION_ADDED, action="a1", text=evil, owner=evil, due=date(2027, 1, 1), by=evil)
    text = visiting(office).get(PAGE).text
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert "alert(1)</textarea>" not in text


def test_an_exercise_stands_beside_earlier_ones_and_asks_for_their_actions(office: WebOffice) -> None:
    """Real cases are beside nothing; what was settled before the exercise began is not asked for."""
    office.case("KQ-D1", exercise=True)
    open_one, settled = agree(office, "KQ-D1", "Rotate yearly"), agree(office, "KQ-D1", "Cut the cache")
    visiting(office).post("/incidents/KQ-D1/review/settle", data={"action": settled, "outcome": "done"})
    office.case("KQ-D2", exercise=True)
    client = visiting(office)
    assert "Before you begin" in client.get("/incidents/KQ-D2").text
    assert "Before you begin" not in client.get(f"/incidents/{CASE}").text
    page = client.get("/incidents/KQ-D2/review").text
    assert "was it done?" in page
    assert "Rotate yearly" in page
    assert "Cut the cache" not in page
    assert 'href="/incidents/KQ-D1/review"' in page
    assert "neither an average nor a trend" in page
    client.post("/incidents/KQ-D1/review/settle", data={"action": open_one, "outcome": "done", "reason": "in place"})
    assert "in place" in client.get("/incidents/KQ-D2/review").text
    assert "first exercise of this playbook" in client.get("/incidents/KQ-D1/review").text
    assert "Beside earlier" not in client.get(PAGE).text
    for ending in ("md", "html"):
        assert "Beside earlier exercises" in client.get(f"/incidents/KQ-D2/review.{ending}").text
