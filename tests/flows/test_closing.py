"""The end of a case: claimed only with proof, written once, and not undone by what comes late."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from leaked_key import declared, finding
from small_shop import Shop

from flows import intake
from flows.engine import contain_now
from flows.wiring import Wiring
from playbooks.errors import InvalidInput
from playbooks.record import EventKind, verify_chain

pytestmark = pytest.mark.lab


def test_recovery_cannot_be_claimed_without_containment(wiring: Wiring, shop: Shop) -> None:
    """Closing as recovered needs the proof; closing as a false alarm does not."""
    incident_id = declared(wiring, shop)
    with pytest.raises(InvalidInput, match="never proven contained"):
        intake.close(wiring, incident_id, by="alice", outcome="recovered")
    intake.close(wiring, incident_id, by="alice", outcome="false-alarm")
    closed = wiring.incident(incident_id).closed
    assert closed is not None
    assert closed.outcome == "false-alarm"


def test_many_people_closing_at_once_close_it_once(wiring: Wiring, shop: Shop) -> None:
    """A second closing event would contradict the record and make it unreadable."""
    incident_id = declared(wiring, shop)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: intake.close(wiring, incident_id, by="a", outcome="false-alarm"), range(8)))
    events = wiring.records.events(incident_id)
    assert sum(event.kind is EventKind.CLOSED for event in events) == 1
    verify_chain(events)
    assert wiring.incident(incident_id).closed is not None


def test_a_closed_case_stays_readable_whatever_comes_late(wiring: Wiring, shop: Shop) -> None:
    """Planning again, containing again and another finding do not write what a closed record contradicts."""
    incident_id = declared(wiring, shop)
    intake.close(wiring, incident_id, by="alice", outcome="false-alarm")
    shop.estate.write_text(shop.estate.read_text().replace("owner: platform", "owner: somebody"))
    intake.replan(wiring, incident_id)
    contain_now(wiring, incident_id)
    assert shop.credential_active()
    assert wiring.incident(incident_id).closed is not None
    again = intake.ingest(wiring, finding(shop.user.access_key_id))
    assert again not in (None, incident_id)


def test_a_finding_of_a_closed_case_opens_nothing_unless_it_says_something_new(wiring: Wiring, shop: Shop) -> None:
    """A nightly scan, or a webhook sent again, must not reopen a false alarm; new words, and new findings, do."""
    signal = finding(shop.user.access_key_id)
    first = intake.ingest(wiring, signal)
    assert first is not None
    intake.close(wiring, first, by="alice", outcome="false-alarm")
    nightly = signal.model_copy(update={"observed_at": signal.observed_at + timedelta(days=1)})
    with shop.wiring() as another:
        for seen_by in (wiring, another):
            assert intake.take_in(seen_by, nightly) == intake.Taken(first, "settled")
    assert len(wiring.records.incidents()) == 1
    again = intake.take_in(wiring, nightly.model_copy(update={"summary": "Seen 9 times."}))
    assert again.how == "opened"


def test_a_finding_of_a_case_that_was_never_contained_opens_it_anew(wiring: Wiring, shop: Shop) -> None:
    """What was given up may be tried again."""
    signal = finding(shop.user.access_key_id)
    first = intake.ingest(wiring, signal)
    assert first is not None
    intake.close(wiring, first, by="alice", outcome="not-contained")
    assert intake.take_in(wiring, signal).how == "opened"
