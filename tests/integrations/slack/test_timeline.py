"""What the timeline says of links and confirmations."""

from __future__ import annotations

from datetime import timedelta

from written_case import START, Case

from integrations.slack.timeline import entries
from playbooks.record import EventKind


def test_the_timeline_tells_for_what_a_passkey_was_asked_and_what_was_confirmed() -> None:
    """An approval names its plan; an undo and the end of the case name themselves."""
    case = Case()
    digest = case.plan.digest
    for number, deed in enumerate(("approve", "undo", "close:false-alarm")):
        case.note(
            EventKind.APPROVAL_ASKED,
            request=f"{number}" * 64,
            approver="alice",
            digest=digest,
            expires_at=START + timedelta(hours=1),
            via="slack",
            deed=deed,
        )
    case.note(EventKind.CONFIRMED, by="alice", deed="undo", digest=digest, method="totp")
    assert [each.text for each in entries(case.events, case.incident)][-4:] == [
        f"A passkey was asked of alice to approve the plan {digest[:12]}.",
        "A passkey was asked of alice to take back what was done.",
        "A passkey was asked of alice to end the case as false alarm.",
        "Alice confirmed (one-time code): take back what was done.",
    ]
