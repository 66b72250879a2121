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


def test_the_timeline_tells_of_clocks_filings_decisions_and_reminders() -> None:
    """So that the channel of a case is reminded too; times are in UTC."""
    case, at = Case(), START.isoformat()
    case.note(EventKind.CLOCK_STARTED, trigger="personal-data-aware", at=at, by="mei")
    for percent in (80, 100):
        case.note(EventKind.DEADLINE_REMINDED, rule="gdpr-authority", percent=percent, due_at=at)
    case.note(EventKind.DEADLINE_SETTLED, rule="gdpr-authority", outcome="filed", at=at, by="mei")
    case.note(EventKind.DEADLINE_SETTLED, rule="nis2-final", outcome="not-due", at=at, by="mei", reason="it is minor")
    assert [each.text for each in entries(case.events, case.incident)][-5:] == [
        "Mei started the clock personal-data-aware, from 2026-03-02 09:00 UTC.",
        "The deadline gdpr-authority is due 2026-03-02 09:00 UTC: 80 % of its time is used.",
        "The deadline gdpr-authority is OVER since 2026-03-02 09:00 UTC.",
        "Mei recorded that gdpr-authority was filed, 2026-03-02 09:00 UTC.",
        "Mei decided that nis2-final is not due: it is minor.",
    ]
