"""The outbox: no message is lost, none is out of order, and none disturbs the response."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.outbox import EXERCISE_STAYS, NO_CHANNEL, deliver_pending, pending, queue
from integrations.messengers.file import Folder
from integrations.records.sql import SqlRecords
from playbooks.errors import InvalidInput, Unavailable, Unreachable
from playbooks.event_bodies import body_of
from playbooks.incident import Incident
from playbooks.ports import Message
from playbooks.record import EventKind, verify_chain

ID = "KQ-20260301-test"


class Recorder:
    """A channel that keeps what it gets and refuses the ids it is told to refuse."""

    def __init__(self, *refused: str, error: Exception | None = None) -> None:
        self.got: list[Message] = []
        self.refused = set(refused)
        self.error = error or Unreachable("the pager does not answer.")

    def deliver(self, message: Message) -> None:
        if message.id in self.refused:
            raise self.error
        self.got.append(message)

    def close(self) -> None:
        """Nothing to give back."""

    @property
    def ids(self) -> list[str]:
        return [each.id for each in self.got]


@pytest.fixture
def records(tmp_path: Path) -> SqlRecords:
    opened = SqlRecords.open(f"sqlite:///{tmp_path / 'r.db'}", clock=lambda: datetime.now(UTC))
    body = body_of(
        EventKind.INCIDENT_OPENED,
        codename="amber-otter",
        severity="high",
        exercise=True,
        requested_by="alice",
        playbook="p",
    )
    opened.append_next(ID, kind=EventKind.INCIDENT_OPENED, body=body)
    return opened


def put(records: SqlRecords, *ids: str) -> None:
    for each in ids:
        queue(records, ID, Message(each, "security", f"subject {each}", "body", exercise=True))


def read(records: SqlRecords) -> Incident:
    return Incident.of(records.events(ID))


def test_messages_are_delivered_once_to_every_channel_in_order(records: SqlRecords) -> None:
    """A second round finds nothing to do; drill messages stay marked as such."""
    put(records, "m1", "m2", "m3")
    one, two = Recorder(), Recorder()
    first = deliver_pending(records, ID, {"one": one, "two": two})
    assert len(first.delivered) == 6
    assert deliver_pending(records, ID, {"one": one, "two": two}).delivered == ()
    assert one.ids == two.ids == ["m1", "m2", "m3"]
    assert all(each.exercise for each in one.got)
    verify_chain(records.events(ID))


def test_queueing_the_same_id_again_changes_nothing(records: SqlRecords) -> None:
    """A step that runs twice sends one message."""
    put(records, "m1")
    head = records.head(ID)
    put(records, "m1")
    assert records.head(ID) == head


def test_a_failing_channel_is_recorded_and_tried_again_in_order(records: SqlRecords) -> None:
    """Later messages wait for the first on that channel; the other channel is not held up."""
    put(records, "m1", "m2")
    down, up = Recorder("m1"), Recorder()
    round_one = deliver_pending(records, ID, {"down": down, "up": up})
    assert (round_one.failed, down.ids, up.ids) == ((("m1", "down"),), [], ["m1", "m2"])
    assert read(records).messages["m1"].failures == {"down": 1}
    down.refused.clear()
    deliver_pending(records, ID, {"down": down, "up": up})
    assert (down.ids, up.ids) == (["m1", "m2"], ["m1", "m2"])


def test_a_message_that_never_goes_through_stops_blocking_the_others(records: SqlRecords) -> None:
    """After five refusals the ones behind it pass, and it is still offered."""
    put(records, "bad", "good")
    channel = Recorder("bad")
    for _ in range(5):
        deliver_pending(records, ID, {"c": channel})
    assert channel.ids == ["good"]
    channel.refused.clear()
    deliver_pending(records, ID, {"c": channel})
    assert channel.ids == ["good", "bad"]


def test_a_broken_channel_does_not_raise_and_its_text_is_not_recorded(records: SqlRecords) -> None:
    """An error of a vendor's client may hold a secret: only its kind is kept."""
    put(records, "m1")
    deliver_pending(records, ID, {"c": Recorder("m1", error=ValueError("canary-secret"))})
    assert records.events(ID)[-1].body == {"id": "m1", "channel": "c", "error": "ValueError"}


def test_a_hanging_channel_does_not_hold_up_the_rest(records: SqlRecords) -> None:
    """Its time runs out, the failure is recorded, the other channel has its message."""
    put(records, "m1")
    release = threading.Event()

    class Hanging(Recorder):
        def deliver(self, message: Message) -> None:
            release.wait()

    up = Recorder()
    done = deliver_pending(records, ID, {"hanging": Hanging(), "up": up}, seconds_each=0.05)
    release.set()
    assert (done.failed, done.delivered) == ((("m1", "hanging"),), (("m1", "up"),))


def test_what_came_late_is_not_sent_again(records: SqlRecords) -> None:
    """The channel took it after its time was over; the next round finds that out instead of sending."""
    put(records, "m1")
    release, ended = threading.Event(), threading.Event()

    class Slow(Recorder):
        def deliver(self, message: Message) -> None:
            release.wait(20)
            super().deliver(message)
            ended.set()

    slow = Slow()
    first = deliver_pending(records, ID, {"slow": slow}, seconds_each=0.05)
    again = deliver_pending(records, ID, {"slow": slow}, seconds_each=0.05)
    assert first.failed == again.failed == (("m1", "slow"),)
    release.set()
    assert ended.wait(20)
    assert deliver_pending(records, ID, {"slow": slow}).delivered == (("m1", "slow"),)
    assert slow.ids == ["m1"]


def test_what_failed_late_is_sent_again(records: SqlRecords) -> None:
    """The next round tries, and does not take the old failure for its own."""
    put(records, "m1")
    release, failed = threading.Event(), threading.Event()

    class Slow(Recorder):
        def deliver(self, message: Message) -> None:
            release.wait(20)
            if not failed.is_set():
                failed.set()
                raise Unreachable("the connection broke.")
            super().deliver(message)

    slow = Slow()
    deliver_pending(records, ID, {"slow": slow}, seconds_each=0.05)
    release.set()
    assert failed.wait(20)
    for _ in range(2):
        deliver_pending(records, ID, {"slow": slow})
    assert slow.ids == ["m1"]


class Several(Recorder):
    """A channel of addresses that are channels themselves."""

    def __init__(self, **addresses: Recorder) -> None:
        super().__init__()
        self.addresses = addresses

    def apart(self) -> dict[str, Recorder]:
        return self.addresses


def test_after_a_restart_only_the_address_that_failed_gets_it_again(records: SqlRecords) -> None:
    """The record knows what each address has, so nothing needs to be remembered."""
    put(records, "m1", "m2")
    deliver_pending(records, ID, {"mail": Several(ann=Recorder(), bob=Recorder("m1"))})
    assert read(records).messages["m1"].delivered == ("mail#ann",)
    assert pending(read(records), ["mail"]) != []
    ann, bob = Recorder(), Recorder()
    done = deliver_pending(records, ID, {"mail": Several(ann=ann, bob=bob)})
    assert (ann.ids, bob.ids) == (["m2"], ["m1", "m2"])
    assert done.delivered == (("m1", "mail"), ("m2", "mail"))
    assert read(records).messages["m1"].delivered == ("mail#ann", "mail#bob", "mail")
    assert pending(read(records), ["mail"]) == []


def test_an_unreadable_record_does_not_raise(records: SqlRecords) -> None:
    """The response goes on; messages wait."""
    assert deliver_pending(records, "KQ-unknown", {"c": Recorder()}).delivered == ()


def test_a_kill_between_delivery_and_its_event_shows_the_message_once(records: SqlRecords, tmp_path: Path) -> None:
    """The record does not know yet, so it is offered again; the id lets the channel keep one."""
    put(records, "m1")
    folder = Folder(tmp_path / "out", clock=lambda: datetime.now(UTC))
    (tmp_path / "out").mkdir()
    folder.deliver(Message("m1", "security", "subject m1", "body", exercise=True))
    deliver_pending(records, ID, {"folder": folder})
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["m1.json"]
    assert read(records).messages["m1"].delivered == ("folder",)


def test_two_processes_delivering_at_once_agree(records: SqlRecords) -> None:
    """Both may deliver; the record stays whole."""
    put(records, *(f"m{each}" for each in range(5)))
    channel = Recorder()
    threads = [threading.Thread(target=deliver_pending, args=(records, ID, {"c": channel})) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(channel.ids) == {f"m{each}" for each in range(5)}
    assert all(each.delivered == ("c",) for each in read(records).messages.values())


def test_a_fall_back_gets_only_what_the_ordinary_channels_fail_to_take(records: SqlRecords) -> None:
    """And the ordinary channel still gets it when it is back, in order."""
    put(records, "m1", "m2")
    down, spare = Recorder("m1"), Recorder()
    channels = {"spare": spare, "down": down}
    deliver_pending(records, ID, channels, fallbacks={"spare"})
    assert (down.ids, spare.ids) == ([], ["m1", "m2"])
    down.refused.clear()
    put(records, "m3")
    deliver_pending(records, ID, channels, fallbacks={"spare"})
    assert (down.ids, spare.ids) == (["m1", "m2", "m3"], ["m1", "m2"])
    assert pending(read(records), channels, {"spare"}) == []


def test_a_fall_back_alone_is_an_ordinary_channel(records: SqlRecords) -> None:
    """There is nothing that could fail before it."""
    put(records, "m1")
    spare = Recorder()
    deliver_pending(records, ID, {"spare": spare}, fallbacks={"spare"})
    assert spare.ids == ["m1"]


def test_what_leaves_the_company_must_have_been_read(records: SqlRecords) -> None:
    """Queueing is refused; one that came into the record otherwise is not handed out."""
    message = Message("m1", "customers", "s", "b", exercise=False, need_to_know="outside")
    with pytest.raises(InvalidInput, match="somebody must read it first"):
        queue(records, ID, message)
    body = body_of(
        EventKind.MESSAGE_QUEUED, id="m1", audience="customers", subject="s", body="b", need_to_know="outside"
    )
    records.append_next(ID, kind=EventKind.MESSAGE_QUEUED, body=body)
    channel = Recorder()
    deliver_pending(records, ID, {"c": channel})
    assert channel.ids == []


def test_an_exercise_never_leaves_the_company(records: SqlRecords) -> None:
    """Although it was released: no channel sees it, the record says why, once, and others go out."""
    queue(records, ID, Message("m1", "customers", "s", "b", exercise=True, need_to_know="outside"), reviewed_by="bob")
    put(records, "m2")
    channel = Recorder()
    for _ in range(3):
        deliver_pending(records, ID, {"c": channel})
    assert channel.ids == ["m2"]
    failed = [event.body for event in records.events(ID) if event.kind is EventKind.MESSAGE_FAILED]
    assert failed == [{"id": "m1", "channel": NO_CHANNEL, "error": EXERCISE_STAYS}]


def test_a_draft_is_not_delivered_before_somebody_released_it(records: SqlRecords) -> None:
    """It is no message yet."""
    body = body_of(
        EventKind.MESSAGE_DRAFTED, id="m1", audience="customers", need_to_know="outside", subject="s", body="b"
    )
    records.append_next(ID, kind=EventKind.MESSAGE_DRAFTED, body=body)
    channel = Recorder()
    deliver_pending(records, ID, {"c": channel})
    assert channel.ids == []
    assert pending(read(records), ["c"]) == []


def test_a_channel_that_does_not_carry_a_message_holds_up_no_other_and_is_recorded_once(records: SqlRecords) -> None:
    """The fall-back carries it instead."""
    put(records, "m1", "m2")
    narrow, spare = Recorder("m1", error=Unavailable("mail does not carry messages to security.")), Recorder()
    for _ in range(3):
        deliver_pending(records, ID, {"narrow": narrow, "spare": spare}, fallbacks={"spare"})
    assert (narrow.ids, spare.ids) == (["m2"], ["m1"])
    assert read(records).messages["m1"].failures == {"narrow": 1}
