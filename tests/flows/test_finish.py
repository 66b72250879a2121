"""Telling relying parties counts when they were heard from; telling people beyond the responders waits for a reader."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from open_case import OpenedByHand, wired
from written_case import ESTATE, KEY, Case

from flows.actions.finish import notify, publish_cutoff
from flows.effects import StepContext, StepResult
from playbooks.estate import ConsumerEntry
from playbooks.plans import Action, Gate, Phase, Reversibility, Step


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[OpenedByHand]:
    """Two relying parties that are told through folders."""
    root = tmp_path / "services"
    root.mkdir()
    policy = {"poll_seconds": 0.02, "containment_deadline_seconds": 0.3}
    settings = {"connections": {"services": {"type": "config-dir", "root": str(root)}}, "policy": policy}
    with wired(tmp_path, Case(), **settings) as opened:
        parties = tuple(ConsumerEntry(name=name, channel="services") for name in ("web", "app"))
        given = ESTATE.model_copy(update={"consumers": parties}).model_dump(mode="json")
        (tmp_path / "estate.yaml").write_text(json.dumps(given), encoding="utf-8")
        yield opened


def healthy(root: Path, *names: str) -> None:
    """These report in the moment after they were told, and go on."""
    for name in names:
        (root / name).mkdir(exist_ok=True)
        said = {"at": (datetime.now(UTC) + timedelta(seconds=5)).isoformat(), "ok": True}
        (root / name / "health.json").write_text(json.dumps(said), encoding="utf-8")


def run(wiring: OpenedByHand, action: Action, target: str, inputs: Mapping[str, Any]) -> StepResult:
    step = Step(
        id=f"notify.1-{action.value}",
        phase=Phase.NOTIFY,
        action=action,
        target=target,
        inputs=dict(inputs),
        reversibility=Reversibility.REVERSIBLE,
        gate=Gate.PRE_APPROVED,
        why="w",
    )
    effect = publish_cutoff if action is Action.PUBLISH_CUTOFF else notify
    return effect(StepContext(wiring, wiring.case, step, dict(inputs)))


def test_a_cutoff_is_done_when_every_relying_party_was_heard_from_since(wiring: OpenedByHand, tmp_path: Path) -> None:
    """A sign of life after the telling."""
    healthy(tmp_path / "services", "web", "app")
    result = run(wiring, Action.PUBLISH_CUTOFF, KEY, {"consumers": ["web", "app"]})
    assert (result.outcome, result.detail) == ("done", "Told web, app.")
    told = json.loads((tmp_path / "services" / "web" / "settings.json").read_text(encoding="utf-8"))
    assert told == {f"cutoff.{KEY}": result.outputs["cutoff"]}


def test_a_relying_party_that_was_not_heard_from_leaves_the_cutoff_unproven(
    wiring: OpenedByHand, tmp_path: Path
) -> None:
    """It is named: forgeries may still be believed there.  The others are told all the same."""
    healthy(tmp_path / "services", "web")
    result = run(wiring, Action.PUBLISH_CUTOFF, KEY, {"consumers": ["app", "web"]})
    assert result.outcome == "not-proven"
    assert result.detail == "Told app, web. Not heard from since: app."
    assert (tmp_path / "services" / "web" / "settings.json").exists()


def test_a_message_to_responders_is_queued_once(wiring: OpenedByHand) -> None:
    """Also when the step runs twice."""
    words = {"subject": "{codename}: s", "body": "{summary}"}
    for _ in range(2):
        assert run(wiring, Action.NOTIFY, "responders", words).outcome == "done"
    (sent,) = wiring.case.messages.values()
    assert (sent.audience, sent.subject, sent.need_to_know) == ("responders", "calm-otter: s", "responders")


def test_a_notice_beyond_the_responders_waits_to_be_read(wiring: OpenedByHand) -> None:
    """By its own words, or by a template; the step does not wait for it."""
    words = {"subject": "{codename}: s", "body": "{summary}", "need_to_know": "company"}
    for _ in range(2):
        assert run(wiring, Action.NOTIFY, "relying-parties", words).outcome == "done"
    (waiting,) = wiring.case.people.drafts.values()
    assert (waiting.audience, waiting.subject, waiting.need_to_know) == ("relying-parties", "calm-otter: s", "company")
    assert wiring.case.messages == {}


def test_a_template_decides_how_far_its_message_goes_unless_the_notice_goes_further(wiring: OpenedByHand) -> None:
    """The audience is the notice's."""
    run(wiring, Action.NOTIFY, "big-customers", {"draft": "customers", "need_to_know": "company"})
    (waiting,) = wiring.case.people.drafts.values()
    assert (waiting.audience, waiting.need_to_know, waiting.subject) == ("big-customers", "outside", "Security notice")
