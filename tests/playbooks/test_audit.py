"""Decisions are told as sentences that name their event."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from playbooks.audit import DECISIONS, decisions
from playbooks.errors import RecordError
from playbooks.event_bodies import body_of
from playbooks.record import INSTALLATION, Event, EventKind

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHAIN = "KQ-2026-0001"


def event(seq: int, kind: EventKind, *, chain: str = CHAIN, **fields: Any) -> Event:
    body = body_of(kind, **fields)
    at = AT + timedelta(seconds=seq)
    return Event(incident=chain, seq=seq, at=at, kind=kind, body=body, prev="0" * 64, hash="1" * 64)


def test_the_latest_decision_comes_first_with_the_event_that_proves_it() -> None:
    """A yes, then a refused attempt in the installation's own chain."""
    told = decisions(
        [
            event(4, EventKind.APPROVAL_GIVEN, approver="Ana", digest="ab" * 32, method="passkey"),
            event(7, EventKind.ATTEMPT_REFUSED, chain=INSTALLATION, by="U1", what="approve", reason="no", via="slack"),
        ]
    )
    assert [(each.chain, each.seq, each.who, each.loud) for each in told] == [
        (INSTALLATION, 7, "U1", True),
        (CHAIN, 4, "Ana", False),
    ]
    assert told[0].what == "was refused to approve: no (by slack)"
    assert told[1].what == "approved the plan abababababab by passkey"


def test_what_nobody_decided_is_no_decision() -> None:
    """A note, a milestone: they are in the record and not in the audit."""
    assert not decisions([event(1, EventKind.NOTE, text="tea", by="Ana"), event(2, EventKind.RENEWED)])


SAID: list[tuple[EventKind, dict[str, Any], str]] = [
    (EventKind.APPROVAL_DENIED, {"approver": "Bo", "digest": "c" * 64, "reason": ""}, "no reason given"),
    (EventKind.GLASS_BROKEN, {"by": "Bo", "digest": "c" * 64, "reason": "nobody awake"}, "nobody awake"),
    (EventKind.GLASS_REVIEWED, {"by": "Cy", "verdict": "justified"}, "justified"),
    (EventKind.ACKNOWLEDGED, {"by": "Bo", "via": "pagerduty"}, "by pagerduty"),
    (EventKind.CLOSED, {"by": "Bo", "outcome": "false-alarm"}, "as false alarm"),
    (EventKind.PASSKEY_REMOVED, {"person": "Bo", "credential_id": "x", "by": "Cy", "reason": "lost"}, "lost"),
]


@pytest.mark.parametrize(("kind", "fields", "words"), SAID, ids=[str(each[0]) for each in SAID])
def test_every_kind_has_its_sentence(kind: EventKind, fields: dict[str, Any], words: str) -> None:
    """With what was decided and why."""
    assert words in decisions([event(1, kind, **fields)])[0].what
    assert kind in DECISIONS


def test_a_broken_body_is_an_error_and_not_left_out() -> None:
    """An audit that skips what it cannot read would hide it."""
    bad = event(1, EventKind.NOTE, text="x", by="y").model_copy(update={"kind": EventKind.CLOSED})
    with pytest.raises(RecordError):
        decisions([bad])
