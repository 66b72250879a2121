"""The metrics page: its numbers are those that a person computes by hand, and nothing is claimed beyond them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from measured_office import many, record, responded
from report_example import events as drill_events
from report_example import result as drill_result
from told import Told, at
from twelve import NOW, twelve
from visiting import visiting
from web_office import WebOffice, web_office

from console.web import kept_answers
from console.web.plots import LEFT, MOST_DOTS, RIGHT, Scale, draw_pool
from console.web.views import measures
from integrations.records.export import export
from integrations.records.sql import SqlRecords
from playbooks.deadlines.rules import own_rules
from playbooks.metrics.measure import MeasureName
from playbooks.metrics.pooling import Point, Pool, pooled
from playbooks.record import EventKind
from playbooks.summary import summary_of


@pytest.fixture
def office(tmp_path: Path) -> Iterator[WebOffice]:
    """Nothing has happened yet."""
    with web_office(tmp_path / "office") as found:
        yield found


@pytest.fixture
def twelve_office(office: WebOffice) -> WebOffice:
    """The twelve, an hour after nine."""
    record(office, twelve().values(), now=NOW)
    return office


def words(text: str) -> str:
    """What stands on the page, without markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", text).replace("\u00a0", " ").split())


def page(office: WebOffice, **asked: str) -> str:
    answer = visiting(office).get("/measures", params=asked)
    assert answer.status_code == 200
    return answer.text


def row(text: str, mark: str) -> str:
    """The section of one measure."""
    found = re.search(rf'<section class="measure" id="{mark}".*?</section>', text, re.S)
    assert found is not None
    return found[0]


def table(text: str, mark: str) -> dict[str, str]:
    """The cases of one cell by their page, with how long each took."""
    cell = re.search(rf'id="{mark}-t".*?<tbody>(.*?)</tbody>', text, re.S)
    assert cell is not None
    return dict(re.findall(r'href="/incidents/([^"]+)">[^<]*</a></td><td>([^<]*)</td>', cell[1]))


# --- the numbers of the twelve -----------------------------------------------------------------------


def test_containment_is_read_aloud_with_median_bounds_and_what_runs(twelve_office: WebOffice) -> None:
    """By hand: 5, 10, 20, 20, (25), 30, 50, (60) minutes."""
    text = page(twelve_office)
    assert "Half of 8 real cases were contained within 20 min." in words(text)
    said = words(row(text, "m-contain"))
    assert "Half of 8 real cases were contained within 20 min (95 %: 5 min … not reached); 2 still run." in said
    assert "1 more has none: it was a false alarm." in said
    assert "3 exercises, too few for an estimate: 1 min; 2 min; not over after 1 h." in said


def test_every_case_of_the_twelve_stands_in_the_table_with_its_figure(twelve_office: WebOffice) -> None:
    """The table holds what the dots show, with a link to each case; exercises have their own."""
    text = page(twelve_office)
    assert table(text, "m-contain-real") == {
        "R8": "5 min",
        "R1": "10 min",
        "R2": "20 min",
        "R3": "20 min",
        "R4": "not over after 25 min",
        "R5": "30 min",
        "R7": "50 min",
        "R6": "not over after 1 h",
    }
    assert table(text, "m-contain-drill") == {"D1": "1 min", "D2": "2 min", "D3": "not over after 1 h"}
    assert table(text, "m-dwell-real") == {"R1": "20 min to 1 h", "R2": "20 min or more"}
    assert table(text, "m-detect-real") == {"R1": "20 min", "R2": "20 min"}
    assert table(text, "m-exposure-window-real") == {"R1": "30 min to 1 h 10 min", "R2": "40 min or more"}


def test_a_median_that_was_not_reached_is_called_so(twelve_office: WebOffice) -> None:
    """Two of eight were restored."""
    said = words(row(page(twelve_office), "m-restore"))
    assert (
        "2 of 8 real cases were restored; the median is not reached (95 %: 30 min … not reached); 6 still run." in said
    )


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        (
            "m-acknowledge",
            "1 of 8 real cases was taken by somebody; the median is not reached (95 %: 2 min … not reached); "
            "7 still run.",
        ),
        (
            "m-residual-exposure",
            "2 real cases, too few for an estimate: not over after 1 h 20 min; not over after 1 h 20 min.",
        ),
        (
            "m-revoke-accepted",
            "0 of 8 real cases were answered by an accepted call; the median and its bounds are not reached",
        ),
        ("m-revoke-proven", "Half of 8 real cases were proven contained within 20 min of the declaration"),
    ],
)
def test_every_other_measure_of_the_twelve_agrees_too(twelve_office: WebOffice, mark: str, said: str) -> None:
    """R1 alone was taken; R1 and R2 say when it began and no census is clear; no backend took a call."""
    assert said in words(row(page(twelve_office), mark))


def test_what_no_case_has_is_said_with_its_reason(twelve_office: WebOffice) -> None:
    """Downtime and phases: no step was begun in any of the twelve."""
    said = words(page(twelve_office)).partition("Without a figure")[2]
    assert "None of 9 real cases has a figure: no step that stops a service was taken." in said
    assert "None of 3 exercises has a figure: no step of it was begun." in said


def test_the_curve_is_drawn_for_eight_cases_and_not_for_three(twelve_office: WebOffice) -> None:
    """Real cases have a band and a median, exercises their points."""
    real, drills = row(page(twelve_office), "m-contain").split('class="drills"')
    assert real.count('class="curve"') > 5
    assert 'class="band"' in real
    assert 'class="median"' in real
    assert 'class="curve"' not in drills
    assert real.count('class="runs"') == 2
    assert drills.count('class="runs"') == 1


def test_a_running_case_lasts_longer_an_hour_later(twelve_office: WebOffice) -> None:
    """Nothing is closed at the present moment, and the picture of what is over stays."""
    twelve_office.ahead += timedelta(hours=1)
    found = table(page(twelve_office), "m-contain-real")
    assert (found["R4"], found["R6"], found["R7"]) == ("not over after 1 h 25 min", "not over after 2 h", "50 min")


def test_one_kind_of_exposure_alone(twelve_office: WebOffice) -> None:
    """Only R1 and R2 say what leaked; what nobody chose from the list is not a choice."""
    assert set(table(page(twelve_office, kind="credential"), "m-contain-real")) == {"R1", "R2"}
    assert set(table(page(twelve_office, **{"class": "aws-kms"}), "m-contain-real")) == {"R1", "R2"}
    assert len(table(page(twelve_office, kind="<b>", **{"class": "'"}), "m-contain-real")) == 8


def test_no_percentage_and_no_trend_stands_on_the_page(twelve_office: WebOffice) -> None:
    """The confidence of an interval is the one number with a percent sign."""
    said = words(page(twelve_office))
    assert set(re.findall(r"[\d.]+ ?%", said)) == {"95 %"}
    assert not re.search("faster|slower|improv|trend|average|↑|↓|▲|▼", said)


# --- phases, steps, work, deadlines ------------------------------------------------------------------


def test_a_phase_alone_shows_its_steps(office: WebOffice) -> None:
    """Its row, its worst step, and none of the measures."""
    record(office, [each.events for each in many(7)], now=at(60))
    text = page(office, phase="reencrypt")
    assert 'id="p-reencrypt"' in text
    assert 'id="m-contain"' not in text
    assert "rewrap" in words(text)
    assert "quarantine key" not in words(text)
    assert 'id="work"' not in text


def test_the_worst_step_is_named_with_case_and_event(office: WebOffice) -> None:
    """One try of the fourth case was throttled; nothing is averaged."""
    cases = many(7)
    record(office, [each.events for each in cases], now=at(60))
    text = page(office)
    assert re.search(r"Failed most: rewrap \(Re-encrypt\), 1 of \d tries in \d cases\.", words(text))
    longest = max(
        (step.seconds or 0, case.name)
        for case in cases
        for phase in summary_of(case.events).phases
        for step in phase.steps
    )
    assert re.search(rf'Longest: .*? in <a href="/incidents/{longest[1]}">', text)


def test_work_is_counted_with_what_could_not_be_read(office: WebOffice) -> None:
    """1,097 of 1,100 objects; one failed, two were unreachable."""
    record(office, [responded("KQ-A", begins=-500, pace=1).events], now=at(60))
    said = words(page(office))
    assert "1,097 of 1,100 counted objects (53 MB) were verified under the new key" in said
    assert "0 still under the old one, 1 failed, 2 unreachable, 0 unknown." in said
    moves = sum(1 for each in responded("KQ-A").events if each.kind is EventKind.STEP_FINISHED)
    assert f"1,097 were rewritten (52 MB), with about {moves + 3 * 1097:,} calls of key backends in 1 case." in said


@pytest.mark.parametrize(
    ("hours", "said", "margin"),
    [(70, "1 of 1 filing was in time.", "2 h before"), (75, "0 of 1 filing was in time.", "3 h late")],
)
def test_margins_of_filings_stand_beside_their_deadline(tmp_path: Path, hours: int, said: str, margin: str) -> None:
    """72 hours from becoming aware (GDPR, Article 33)."""
    with web_office(tmp_path / "office", deadlines={"applies": ["gdpr"]}) as office:
        rules = own_rules().rules
        rule = next(each for each in rules if each.regime == "gdpr" and each.within and each.within.amount == 72)
        filed = Told("KQ-2")
        filed.add(1, EventKind.CLOCK_STARTED, trigger=rule.starts.trigger, at=at(0), by="bob")
        filed.add(2, EventKind.DEADLINE_SETTLED, rule=rule.id, outcome="filed", at=at(60 * hours), by="bob")
        record(office, [filed.events], now=at(3))
        text = words(page(office))
        assert said in text
        assert margin in text


def test_rules_that_cannot_be_read_hide_nothing_else(tmp_path: Path) -> None:
    """The page names the file."""
    with web_office(tmp_path / "office", deadlines={"applies": ["gdpr"], "rules": "./rules.yaml"}) as office:
        (office.root / "rules.yaml").write_text("rules: 3\n", encoding="utf-8")
        filed = Told("KQ-2")
        filed.add(1, EventKind.CLOCK_STARTED, trigger="x", at=at(0), by="bob")
        filed.add(2, EventKind.DEADLINE_SETTLED, rule="x", outcome="filed", at=at(1), by="bob")
        filed.add(3, EventKind.CONTAINED, probes=1)
        record(office, [filed.events], now=at(4))
        text = words(page(office))
        assert "rules.yaml" in text
        assert "1 of 1 real case was contained." in text


# --- nothing, much, and what others wrote ------------------------------------------------------------


def test_an_empty_record_claims_nothing(office: WebOffice) -> None:
    """And draws nothing."""
    text = page(office)
    assert "Nothing has been measured yet." in text
    assert "<svg" not in text.partition('id="main"')[2]


def test_exercises_alone_are_called_exercises(office: WebOffice) -> None:
    """They never stand for a real case."""
    record(office, [twelve()["D1"]], now=NOW)
    assert "1 of 1 exercise was contained." in words(page(office))


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "1 more exercise is left out: its times are virtual."),
        (2, "2 more exercises are left out: their times are virtual."),
    ],
)
def test_cases_of_virtual_time_are_left_out_and_counted(twelve_office: WebOffice, count: int, said: str) -> None:
    """Every figure stays as it was; one sentence counts them, and each is marked where it is listed."""
    before = page(twelve_office)
    assert "virtual" not in words(before)
    played = [Told(f"KQ-V{number}", exercise=True, virtual_time=True, codename="set-clock") for number in range(count)]
    for told in played:
        told.seen(0, observed=0).add(0.5, EventKind.CONTAINED, probes=3).add(1, EventKind.RESTORED, consumers=("x",))
        told.add(2, EventKind.CLOSED, by="bob", outcome="recovered")
    record(twelve_office, [each.events for each in played], now=NOW)
    text = words(page(twelve_office))
    assert text.replace(f" {said}", "") == words(before)
    assert f"9 real cases and 3 exercises, side by side and never pooled. {said}" in text
    for place in ("/", "/incidents"):
        listed = words(visiting(twelve_office).get(place).text)
        assert listed.count("set-clock exercise virtual time") == listed.count("virtual time") == count


def test_nothing_is_measured_where_all_times_are_virtual(office: WebOffice) -> None:
    """And the page says why."""
    record(office, [Told("KQ-V", exercise=True, virtual_time=True).seen(0, observed=0).events], now=NOW)
    text = words(page(office))
    assert "Nothing has been measured yet." in text
    assert "1 more exercise is left out: its times are virtual." in text


def test_what_others_wrote_is_text(office: WebOffice) -> None:
    """Code names come from outside."""
    told = Told("KQ-X", codename="<script>alert(1)</script>\u202e")
    told.seen(0, observed=0)
    record(office, [told.events], now=at(5))
    text = page(office)
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;" in text


def test_kept_drills_stand_among_the_exercises_and_go_on_no_longer(office: WebOffice) -> None:
    """Their lab is down: what they did not reach they never will, and they have no page to link to."""
    place = office.root / "home" / "drills" / "20260312-000000-kms-credential-leak-aa"
    _keep(place)
    text = page(office)
    said = words(text)
    assert "0 real cases and 1 exercise" in said
    assert "kept drill" in said
    assert "still run" not in words(row(text, "m-contain").split('class="drills"')[1])
    before = row(text, "m-contain")
    office.ahead += timedelta(days=3)
    assert row(page(office), "m-contain") == before


def _keep(place: Path) -> None:
    place.mkdir(parents=True)
    found = drill_events()
    moments = iter(each.at for each in found)
    records = SqlRecords.open(f"sqlite:///{place}/drill.db", clock=lambda: next(moments))
    for each in found:
        records.append_next(each.incident, kind=each.kind, body=each.body)
    export(records, found[0].incident, place / "record.ndjson")
    records.close()
    (place / "result.json").write_text(drill_result().model_dump_json(), encoding="utf-8")


def test_ten_thousand_cases_have_some_hundred_dots_and_the_rest_is_counted() -> None:
    """Evenly from the shortest to the longest; the curve's steps are as many as can be seen."""
    cases = [(float(1 + number % 5000), f"K{number}") for number in range(10_000)]
    points = tuple(Point(name, "x", "reached", seconds, seconds) for seconds, name in sorted(cases))
    summary = summary_of(Told("KQ-1").seen(0, observed=0).events)
    spread = [
        summary.model_copy(
            update={
                "id": name,
                "measures": tuple(
                    each.model_copy(update={"state": "reached", "lower_seconds": seconds, "upper_seconds": seconds})
                    for each in summary.measures
                ),
            }
        )
        for seconds, name in cases
    ]
    pool = pooled(spread, MeasureName.CONTAIN, exercise=False, now=at(60))
    assert [(each.incident, each.lower) for each in pool.points] == [(each.incident, each.lower) for each in points]
    plot = draw_pool(pool, Scale.over([pool]))
    assert 10 < len(plot.dots) <= MOST_DOTS
    assert plot.left_out == 10_000 - len(plot.dots)
    assert plot.curve is not None
    assert len(plot.curve.flats) < 300
    assert plot.height < 320
    assert pool.median == pytest.approx(2500, abs=2)


def test_many_cases_are_computed_again_only_after_a_while(office: WebOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another choice at once; few cases always."""
    record(office, [twelve()["D1"]], now=NOW)
    monkeypatch.setattr(measures, "_MANY", 0)
    assert "1 exercise" in words(page(office))
    record(office, [twelve()["D2"]], now=NOW)
    assert "1 exercise," in words(page(office))
    assert "As of " in words(page(office))
    assert "2 exercises," in words(page(office, phase="contain"))
    monkeypatch.setattr(kept_answers, "OLDEST_SECONDS", 0.0)
    assert "2 exercises," in words(page(office))


def test_pictures_stay_within_their_frame() -> None:
    """Nothing, one case, zero seconds, intervals without an end, years: every place is on the axis."""
    for points in (
        (),
        (Point("a", "a", "reached", 0, 0),),
        (Point("a", "a", "reached", 0, 3.0), Point("b", "b", "running", 0, None, goes_on=True)),
        (Point("a", "a", "reached", 0.01, None), Point("b", "b", "running", 4e8, None)),
        tuple(Point(f"{n}", "a", "reached", 60, 3600) for n in range(24)),
    ):
        pool = Pool(of=MeasureName.DWELL, exercise=False, points=points, undefined=0)
        plot = draw_pool(pool, Scale.over([pool]))
        assert len(plot.dots) == len(points)
        for dot in plot.dots:
            assert LEFT <= dot.bar[0] <= dot.x or dot.style == "least"
            assert dot.x <= RIGHT
            assert 0 < dot.y < plot.axis
        assert all(LEFT <= x <= RIGHT for x, _ in plot.ticks)


def test_dots_of_equal_cases_do_not_hide_one_another() -> None:
    """They stand above one another."""
    points = tuple(Point(f"{n}", "a", "reached", 60, 60) for n in range(9))
    pool = Pool(of=MeasureName.CONTAIN, exercise=False, points=points, undefined=0)
    dots = draw_pool(pool, Scale.over([pool])).dots
    assert len({(each.x, each.y) for each in dots}) == 9
    assert len({each.x for each in dots}) == 1
