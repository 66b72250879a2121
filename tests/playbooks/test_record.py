"""The chain of events: whatever is changed, dropped, swapped or added is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from playbooks.errors import RecordError
from playbooks.record import GENESIS, Event, EventKind, verify_chain

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def chain(length: int, incident: str = "KQ-20260301-test") -> list[Event]:
    events: list[Event] = []
    for seq in range(length):
        events.append(
            Event.link(
                incident=incident,
                seq=seq,
                at=START + timedelta(seconds=seq),
                kind=EventKind.NOTE,
                body={"text": f"note {seq}", "by": "tester"},
                prev=events[-1].hash if events else GENESIS,
            )
        )
    return events


def test_an_intact_chain_ends_at_its_head() -> None:
    """verify_chain returns the last event's hash, and accepts it as the expected head."""
    events = chain(5)
    assert verify_chain(events, expected_head=events[-1].hash) == events[-1].hash


def test_an_empty_record_is_refused() -> None:
    """No events prove nothing."""
    with pytest.raises(RecordError, match="empty"):
        verify_chain([])


def test_a_dropped_tail_is_found_by_a_head_kept_elsewhere() -> None:
    """A shorter chain is consistent in itself; only the known head tells."""
    events = chain(5)
    assert verify_chain(events[:-1]) == events[3].hash
    with pytest.raises(RecordError, match="tail is missing"):
        verify_chain(events[:-1], expected_head=events[-1].hash)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
changes = st.one_of(
    st.tuples(st.just("at"), st.integers(1, 10**9).map(lambda micros: START - timedelta(microseconds=micros))),
    st.tuples(st.just("kind"), st.sampled_from([kind for kind in EventKind if kind is not EventKind.NOTE])),
    st.tuples(st.just("body"), st.dictionaries(st.text(), json_values, max_size=3)),
    st.tuples(st.just("prev"), st.from_regex("[0-9a-f]{64}", fullmatch=True)),
    st.tuples(st.just("hash"), st.from_regex("[0-9a-f]{64}", fullmatch=True)),
    st.tuples(st.just("incident"), st.text(min_size=1)),
    st.tuples(st.just("seq"), st.integers(100, 200)),
)


@given(length=st.integers(1, 8), at=st.data(), change=changes)
def test_a_changed_field_of_any_event_is_found(length: int, at: st.DataObject, change: tuple[str, object]) -> None:
    """Every field of every event is under the hash."""
    events = chain(length)
    index = at.draw(st.integers(0, length - 1))
    assume(getattr(events[index], change[0]) != change[1])
    events[index] = events[index].model_copy(update=dict([change]))
    with pytest.raises(RecordError):
        verify_chain(events)


@given(length=st.integers(2, 8), data=st.data())
def test_a_missing_event_is_found(length: int, data: st.DataObject) -> None:
    """Deleting one event anywhere but at the end breaks the chain; at the end the head tells."""
    events = chain(length)
    head = events[-1].hash
    del events[data.draw(st.integers(0, length - 1))]
    with pytest.raises(RecordError):
        verify_chain(events, expected_head=head)


@given(length=st.integers(2, 8), data=st.data())
def test_swapped_events_are_found(length: int, data: st.DataObject) -> None:
    """Order is part of the chain."""
    events = chain(length)
    first, second = data.draw(st.lists(st.integers(0, length - 1), min_size=2, max_size=2, unique=True))
    events[first], events[second] = events[second], events[first]
    with pytest.raises(RecordError):
        verify_chain(events)


@given(length=st.integers(1, 8), data=st.data())
def test_an_inserted_event_is_found(length: int, data: st.DataObject) -> None:
    """A copy of an event, or a well-formed one of another chain, fits nowhere."""
    events = chain(length)
    head = events[-1].hash
    foreign = data.draw(st.sampled_from([*chain(length), *chain(length, "KQ-20260301-else")]))
    events.insert(data.draw(st.integers(0, length)), foreign)
    with pytest.raises(RecordError):
        verify_chain(events, expected_head=head)


@given(length=st.integers(2, 6), data=st.data())
def test_a_re_hashed_event_breaks_its_successor(length: int, data: st.DataObject) -> None:
    """Hashing the forged event anew only moves the break to the next one."""
    events = chain(length)
    index = data.draw(st.integers(0, length - 2))
    old = events[index]
    events[index] = Event.link(
        incident=old.incident, seq=old.seq, at=old.at, kind=old.kind, body={"text": "forged", "by": "x"}, prev=old.prev
    )
    with pytest.raises(RecordError, match=f"event {index + 1} does not follow"):
        verify_chain(events)
