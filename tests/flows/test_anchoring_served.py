"""The process that people start signs and lays down what it contained; a place that is away holds up nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from fakes.time_stamp_authority import TimeStamps
from serve_lab import ServeLab, end, until

from flows.wiring import Wiring
from playbooks.record import Event, EventKind, verify_chain

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


def of_kind(lab: ServeLab, kind: EventKind) -> list[Event]:
    with Wiring.from_file(lab.shop.config) as wiring:
        return wiring.records.of_kind(kind)


def places(lab: ServeLab) -> set[str]:
    """The kinds of places where something was laid down."""
    return {str(each.body["place"]) for each in of_kind(lab, EventKind.CHECKPOINT_ANCHORED)}


def test_a_response_is_signed_and_anchored_by_the_process_that_follows_a_killed_one(
    lab: ServeLab, tmp_path: Path
) -> None:
    """Contained while the authority was away; the next process stamps it, and posts it in the channel once."""
    with TimeStamps(tmp_path) as authority:
        authority.status = 500
        settings = yaml.safe_load(lab.shop.config.read_text(encoding="utf-8"))
        settings["anchors"] = [{"type": "rfc3161", "url": authority.url}, {"type": "slack"}]
        lab.shop.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        child = lab.start()
        try:
            lab.listening(child)
            assert lab.leak(0).status_code == 202
            until(lambda: lab.all_contained(1), "containment")
            until(lambda: "the time-stamp authority answered HTTP 500" in lab.said(), "the failure to be said")
            until(lambda: of_kind(lab, EventKind.CHECKPOINT_SIGNED), "the signature")
        finally:
            end(child)
        assert "rfc3161" not in places(lab)
        authority.status = 200
        with lab.serving():
            until(
                lambda: (
                    {"rfc3161", "slack"} <= {each.body["place"] for each in of_kind(lab, EventKind.CHECKPOINT_ANCHORED)}
                ),
                "both places",
            )
    with Wiring.from_file(lab.shop.config) as wiring:
        [incident] = wiring.records.incidents()
        verify_chain(wiring.records.events(incident))
        heads = [each.body["head"] for each in wiring.records.of_kind(EventKind.CHECKPOINT_SIGNED)]
    assert len(heads) == len(set(heads))
    posted = [
        each["metadata"]["event_payload"]["head"]
        for channel in lab.slack.channels.values()
        for each in channel.messages
        if (each.get("metadata") or {}).get("event_type") == "keyquell_checkpoint"
    ]
    assert posted
    assert len(posted) == len(set(posted))
