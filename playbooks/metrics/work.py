"""What a response moved: objects and bytes against the inventory's count, calls and probes, and its slowest step."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from playbooks.event_bodies import CensusTaken, ShardFinished, StepFinished, StepStarted, read_body
from playbooks.incident import Incident
from playbooks.record import Event, EventKind


class SlowestStep(BaseModel):
    """The step that took longest from its first start to its end; ``seq`` is the event that ended it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    action: str
    seconds: float
    seq: int


class Work(BaseModel):
    """``objects`` and ``bytes`` are the last censuses' counts, ``verified`` the objects unwrapped under the new key.

    ``rewritten`` and ``bytes_rewritten`` are what the shards wrote, ``unwrapped`` what all censuses together unwrapped
    under the new key.  ``calls`` are the moves that left a receipt and changed something, ``probes`` the independent
    tries: what a backend charges for beyond the objects' own calls.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objects: int = 0
    bytes: int = 0
    verified: int = 0
    on_old: int = 0
    failed: int = 0
    unreachable: int = 0
    unknown: int = 0
    rewritten: int = 0
    bytes_rewritten: int = 0
    unwrapped: int = 0
    calls: int = 0
    probes: int = 0
    slowest: SlowestStep | None = None

    @property
    def key_calls(self) -> int:
        """About so many calls of key backends: one a move, a probe and an unwrapped object, two a rewritten one.

        An estimate from what is recorded: retries, censuses' tries under the old key and reading facts are not in it.
        """
        return self.calls + self.probes + self.unwrapped + 2 * self.rewritten


def work_of(events: Sequence[Event], *, incident: Incident | None = None) -> Work:
    """Counted from the record alone; RecordError when the events contradict one another."""
    incident = incident or Incident.of(events)
    censuses = incident.censuses.values()
    shards = [_shard(each) for each in events if each.kind is EventKind.SHARD_FINISHED]
    ended = [body for each in events if isinstance(body := _finished(each), StepFinished)]
    return Work(
        objects=sum(each.objects for each in censuses),
        bytes=sum(each.bytes for each in censuses),
        verified=sum(each.on_new for each in censuses),
        on_old=sum(each.on_old for each in censuses),
        failed=sum(each.failed for each in censuses),
        unreachable=sum(each.unreachable for each in censuses),
        unknown=sum(each.unknown for each in censuses),
        rewritten=sum(count for count, _ in shards),
        bytes_rewritten=sum(size for _, size in shards),
        unwrapped=sum(_unwrapped(each) for each in events if each.kind is EventKind.CENSUS_TAKEN),
        calls=sum(each.receipt is not None and each.receipt.changed for each in ended),
        probes=sum(len(each.probes) for each in ended),
        slowest=_slowest(incident, events),
    )


def _finished(event: Event) -> object:
    return read_body(event) if event.kind is EventKind.STEP_FINISHED else None


def _unwrapped(event: Event) -> int:
    body = read_body(event)
    return body.census.on_new if isinstance(body, CensusTaken) else 0


def _shard(event: Event) -> tuple[int, int]:
    body = read_body(event)
    result = body.result if isinstance(body, ShardFinished) else {}
    return _count(result.get("rewritten")), _count(result.get("bytes"))


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _slowest(incident: Incident, events: Sequence[Event]) -> SlowestStep | None:
    begun: dict[str, datetime] = {}
    found: SlowestStep | None = None
    actions = {step.id: step.action.value for step in incident.plan.steps} if incident.plan else {}
    for event in events:
        if event.kind not in (EventKind.STEP_STARTED, EventKind.STEP_FINISHED):
            continue
        body = read_body(event)
        if isinstance(body, StepStarted):
            begun.setdefault(body.step, event.at)
        elif isinstance(body, StepFinished) and body.step in begun and body.step in actions:
            seconds = (event.at - begun[body.step]).total_seconds()
            if found is None or seconds > found.seconds:
                found = SlowestStep(step=body.step, action=actions[body.step], seconds=seconds, seq=event.seq)
    return found
