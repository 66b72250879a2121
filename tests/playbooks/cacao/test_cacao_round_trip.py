"""What is exported comes back exactly, and the same export is the same bytes."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import yaml
from foreign_cacao import changed, read, uuid
from hypothesis import given, settings
from hypothesis import strategies as st

from playbooks.cacao import export, import_
from playbooks.cacao.extension import EXTENSION
from playbooks.drafts import templates
from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind
from playbooks.plans import Gate, Phase
from playbooks.playbook import (
    FIELDS,
    AppliesTo,
    Containment,
    ContainmentMove,
    Gates,
    Notice,
    Options,
    Playbook,
    PricedMove,
    catalog,
    load,
)

WHEN = datetime(2026, 5, 31, 14, 5, 6, 789_999, tzinfo=UTC)
LINE = st.text(max_size=40)
MESSAGE = st.lists(st.one_of(st.sampled_from([f"{{{name}}}" for name in FIELDS]), st.text(max_size=20).map(
    lambda text: text.replace("{", "{{").replace("}", "}}")
)), min_size=1, max_size=4).map("".join).filter(bool)  # fmt: skip


def gates() -> st.SearchStrategy[Gates]:
    """Any gate for any phase that may have it."""
    free = [phase.value for phase in Phase if phase is not Phase.RETIRE]
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(Gate) for name in free}).map(Gates.model_validate)


def notices() -> st.SearchStrategy[Notice]:
    """Written ones, and ones by template."""
    reach = st.sampled_from(["responders", "company", "outside"])
    audience = st.text(min_size=1, max_size=20)
    written = st.builds(Notice, audience=audience, subject=MESSAGE, body=MESSAGE, why=LINE, need_to_know=reach)
    named = st.sampled_from(list(templates()))
    return written | st.builds(Notice, audience=audience, template=named, why=LINE, need_to_know=reach)


def playbooks() -> st.SearchStrategy[Playbook]:
    """Any playbook that a file could hold."""
    moves = st.lists(st.sampled_from(ContainmentMove), min_size=1, unique=True).flatmap(
        lambda found: st.tuples(*(st.builds(PricedMove, move=st.just(move), price=LINE) for move in found))
    )
    kinds = st.lists(st.sampled_from(ExposureKind), min_size=1, unique=True).map(tuple)
    words = st.lists(LINE, max_size=3).map(tuple)
    return st.builds(
        Playbook,
        name=st.from_regex("[a-z][a-z0-9-]{0,20}", fullmatch=True),
        version=st.integers(1, 10**9),
        title=LINE,
        applies_to=st.builds(AppliesTo, kinds=kinds, schemes=words),
        containment=st.builds(Containment, confidence=st.floats(0, 1), prefer=moves),
        gates=gates(),
        options=st.builds(Options, allow=words, cut_users=st.booleans(), deletion_days=st.integers(0, 10**9)),
        notify=st.lists(notices(), max_size=3).map(tuple),
        runbook=st.dictionaries(st.sampled_from(Phase), LINE),
    )


@given(playbooks())
@settings(deadline=None, max_examples=150)
def test_any_playbook_comes_back_exactly(playbook: Playbook) -> None:
    """As the same object, from the document as text; numbers may be written 1 or 1.0 on the way."""
    document = export(playbook, created=WHEN, modified=WHEN)
    became = import_(json.dumps(document).encode(), file="a.json")
    assert became.playbook == playbook
    assert (became.source, became.not_kept) == ("extension", ())
    rewritten = json.loads(json.dumps(document, sort_keys=True, ensure_ascii=False, indent=3), parse_float=_whole)
    assert read(rewritten).playbook == playbook


def _whole(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number


@pytest.mark.parametrize("name", sorted(catalog()))
def test_the_catalogue_comes_back_exactly(name: str) -> None:
    """Also through the YAML that is printed."""
    playbook = catalog()[name]
    became = read(export(playbook, created=WHEN, modified=WHEN)).playbook
    assert became == playbook
    assert load(yaml.safe_dump(became.model_dump(mode="json")), file="a.yaml") == playbook


@pytest.mark.parametrize("name", sorted(catalog()))
def test_without_the_extension_the_steps_say_the_same(name: str) -> None:
    """All but what has no words: what was asked of whom comes back, and nothing is pre-approved by silence."""
    playbook = catalog()[name]
    document = export(playbook, created=WHEN, modified=WHEN)
    became = read(changed(("playbook_extensions",), None, document))
    assert became.source == "steps"
    kept = ("title", "applies_to", "runbook")
    assert [getattr(became.playbook, each) for each in kept] == [getattr(playbook, each) for each in kept]
    assert became.playbook.containment.prefer == playbook.containment.prefer
    said = [(each.audience, each.subject, each.body, each.why) for each in playbook.notify]
    assert [(each.audience, each.subject, each.body, each.why) for each in became.playbook.notify] == said
    assert all(became.playbook.gates.of(phase).people for phase in Phase)


def test_the_workflow_is_one_straight_line() -> None:
    """Start, actions, end: the executors that know neither parallel nor switch steps can follow it."""
    document = export(catalog()["signing-key-leak"], created=WHEN, modified=WHEN)
    seen, name = [], document["workflow_start"]
    while name:
        seen.append(name)
        name = document["workflow"][name].get("on_completion")
    assert seen == list(document["workflow"])
    assert [each.partition("--")[0] for each in seen] == ["start", *["action"] * (len(seen) - 2), "end"]
    commands = [each for step in document["workflow"].values() for each in step.get("commands", [])]
    assert {each["type"] for each in commands} == {"manual"}
    assert {each["playbook_activity"] for each in commands if "playbook_activity" in each} == set(
        document["playbook_activities"]
    )


def test_people_decide_where_a_gate_asks_them() -> None:
    """A gate becomes a step of its own, before its phase, for people; a pre-approved phase has none."""
    document = export(catalog()["kms-credential-leak"], created=WHEN, modified=WHEN)
    steps = list(document["workflow"].values())
    said = [each["commands"][0]["command"] for each in steps if "commands" in each]
    assert [each for each in said if each.startswith("agree")] == ["agree revoke one-person", "agree retire two-person"]
    assert said.index("agree retire two-person") + 1 == said.index("retire")
    agent = next(each for each in steps if each.get("name") == "Agree to: retire")["agent"]
    assert document["agent_definitions"][agent]["name"] == "Approvers"


def test_identifiers_are_derived_and_have_the_form_of_version_4() -> None:
    """Equal content, equal document; a version keeps the playbook's identifier and changes the step that changed."""
    playbook = catalog()["hsm-pin-leak"]
    one = export(playbook, created=WHEN, modified=WHEN)
    assert export(playbook, created=WHEN, modified=WHEN) == one
    for name in (one["id"], one["created_by"], *one["workflow"], *one["agent_definitions"], EXTENSION):
        assert re.fullmatch("[a-z-]+--[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", name)
    newer = playbook.model_copy(update={"version": 2, "runbook": {**playbook.runbook, Phase.REVIEW: "Ask anew."}})
    two = export(newer, created=WHEN, modified=WHEN + timedelta(days=1))
    assert two["id"] == one["id"]
    assert len(set(two["workflow"]) - set(one["workflow"])) == 1
    assert export(playbook, created=WHEN, modified=WHEN, created_by=f"identity--{uuid(7)}")["id"] != one["id"]


def test_equal_messages_are_different_steps() -> None:
    """Two notices that say the same are sent twice, and come back as two."""
    playbook = catalog()["policy-too-wide"]
    twice = playbook.model_copy(update={"notify": playbook.notify * 2})
    assert read(export(twice, created=WHEN, modified=WHEN)).playbook == twice


def test_times_are_written_in_utc_to_the_millisecond() -> None:
    """From whichever zone; what is below a millisecond is cut off."""
    there = WHEN.astimezone(timezone(timedelta(hours=2)))
    document = export(catalog()["policy-too-wide"], created=there, modified=WHEN)
    assert (document["created"], document["modified"]) == ("2026-05-31T14:05:06.789Z",) * 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param({"modified": WHEN - timedelta(seconds=1)}, "earlier", id="modified before created"),
        pytest.param({"modified": WHEN.replace(tzinfo=None)}, "time zone", id="no zone"),
        pytest.param({"created_by": "somebody"}, "identity--UUID", id="no identifier"),
        pytest.param({"created_by": f"playbook--{uuid(1)}"}, "identity--UUID", id="not an identity"),
    ],
)
def test_arguments_that_no_document_may_hold_are_refused(arguments: dict[str, Any], told: str) -> None:
    """Before anything is written."""
    with pytest.raises(InvalidInput, match=told):
        export(catalog()["policy-too-wide"], **{"created": WHEN, "modified": WHEN, **arguments})


def _move_gone(document: dict[str, Any]) -> dict[str, Any]:
    name = next(name for name, step in document["workflow"].items() if step.get("name") == "Quarantine the key")
    return changed(("workflow", name, "commands", 0, "command"), "disable", document)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(_move_gone, "was changed after keyquell wrote it", id="another move in the workflow"),
        pytest.param(lambda each: changed(("name",), "Mine", each), "was changed", id="another name"),
        pytest.param(
            lambda each: changed(("playbook_extensions", EXTENSION, "playbook", "version"), 9, each), "was changed",
            id="another playbook in the extension",
        ),
        pytest.param(
            lambda each: changed(("playbook_extensions", EXTENSION, "digest"), "0" * 64, each), "was changed",
            id="another digest",
        ),
        pytest.param(
            lambda each: changed(("playbook_extensions", EXTENSION, "digest"), "short", each), "].digest: ",
            id="no digest at all",
        ),
        pytest.param(
            lambda each: changed(("extension_definitions", EXTENSION, "version"), "2.0.0", each), "].version: expected",
            id="another version of the extension",
        ),
        pytest.param(
            lambda each: changed(("playbook_extensions", EXTENSION, "playbook", "gates", "retire"), "one-person", each),
            r"\.playbook\.gates\.retire: expected two-person", id="a weaker gate",
        ),
        pytest.param(
            lambda each: changed(("playbook_extensions", EXTENSION, "playbook", "containment", "prefer"), [], each),
            r"\.playbook\.containment\.prefer: ", id="no way to contain",
        ),
    ],
)  # fmt: skip
def test_a_document_that_was_changed_is_refused(change: Any, told: str) -> None:
    """Workflow and extension must say the same; else nobody knows which of the two was meant."""
    document = change(export(catalog()["policy-too-wide"], created=WHEN, modified=WHEN))
    with pytest.raises(InvalidInput, match=told):
        read(document)
