"""What the body of each event kind must hold, checked when an event is written and when it is read.

Unknown names in a stored body are tolerated, so that an older keyquell reads a newer record; ``body_of`` refuses them,
because there they are a mistake in our own code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from playbooks.deeds import ClosingOutcome
from playbooks.errors import RecordError
from playbooks.event_bodies.body import Body
from playbooks.event_bodies.installation import (
    DetectorHeard,
    DetectorSilent,
    PasskeyEnrolled,
    PasskeyInvited,
    PasskeyRemoved,
    SignalUnmatched,
)
from playbooks.event_bodies.oversight import (
    ActionAdded,
    ActionSettled,
    CheckpointAnchored,
    CheckpointSigned,
    ClockStarted,
    DeadlineReminded,
    DeadlineSettled,
    ReviewWritten,
)
from playbooks.event_bodies.people import (
    Acknowledged,
    ApprovalAsked,
    ApprovalDenied,
    ApprovalGiven,
    Assertion,
    AttemptRefused,
    Confirmed,
    Escalated,
    GlassBroken,
    GlassReviewed,
    Linked,
    MessageDelivered,
    MessageDrafted,
    MessageFailed,
    MessageQueued,
    MessageWithdrawn,
    NeedToKnow,
    Note,
)
from playbooks.event_bodies.response import (
    CensusTaken,
    Closed,
    Contained,
    DataSafe,
    ExposureAdded,
    FactsRead,
    IncidentOpened,
    NotContained,
    PlanMade,
    Renewed,
    Restored,
    ShardFinished,
    SignalReceived,
    StepFailed,
    StepFinished,
    StepOutcome,
    StepStarted,
    StepUndone,
)
from playbooks.record import Event, EventKind

MODELS: dict[EventKind, type[Body]] = {
    EventKind.INCIDENT_OPENED: IncidentOpened,
    EventKind.SIGNAL_RECEIVED: SignalReceived,
    EventKind.EXPOSURE_ADDED: ExposureAdded,
    EventKind.FACTS_READ: FactsRead,
    EventKind.PLAN_MADE: PlanMade,
    EventKind.APPROVAL_GIVEN: ApprovalGiven,
    EventKind.APPROVAL_DENIED: ApprovalDenied,
    EventKind.STEP_STARTED: StepStarted,
    EventKind.STEP_FINISHED: StepFinished,
    EventKind.STEP_FAILED: StepFailed,
    EventKind.STEP_UNDONE: StepUndone,
    EventKind.SHARD_FINISHED: ShardFinished,
    EventKind.CENSUS_TAKEN: CensusTaken,
    EventKind.CONTAINED: Contained,
    EventKind.NOT_CONTAINED: NotContained,
    EventKind.RENEWED: Renewed,
    EventKind.DATA_SAFE: DataSafe,
    EventKind.RESTORED: Restored,
    EventKind.MESSAGE_QUEUED: MessageQueued,
    EventKind.MESSAGE_DELIVERED: MessageDelivered,
    EventKind.MESSAGE_FAILED: MessageFailed,
    EventKind.NOTE: Note,
    EventKind.CLOSED: Closed,
    EventKind.APPROVAL_ASKED: ApprovalAsked,
    EventKind.CONFIRMED: Confirmed,
    EventKind.GLASS_BROKEN: GlassBroken,
    EventKind.GLASS_REVIEWED: GlassReviewed,
    EventKind.ACKNOWLEDGED: Acknowledged,
    EventKind.ESCALATED: Escalated,
    EventKind.ATTEMPT_REFUSED: AttemptRefused,
    EventKind.LINKED: Linked,
    EventKind.MESSAGE_DRAFTED: MessageDrafted,
    EventKind.MESSAGE_WITHDRAWN: MessageWithdrawn,
    EventKind.CLOCK_STARTED: ClockStarted,
    EventKind.DEADLINE_SETTLED: DeadlineSettled,
    EventKind.DEADLINE_REMINDED: DeadlineReminded,
    EventKind.REVIEW_WRITTEN: ReviewWritten,
    EventKind.ACTION_ADDED: ActionAdded,
    EventKind.ACTION_SETTLED: ActionSettled,
    EventKind.CHECKPOINT_SIGNED: CheckpointSigned,
    EventKind.CHECKPOINT_ANCHORED: CheckpointAnchored,
    EventKind.PASSKEY_INVITED: PasskeyInvited,
    EventKind.PASSKEY_ENROLLED: PasskeyEnrolled,
    EventKind.PASSKEY_REMOVED: PasskeyRemoved,
    EventKind.SIGNAL_UNMATCHED: SignalUnmatched,
    EventKind.DETECTOR_SILENT: DetectorSilent,
    EventKind.DETECTOR_HEARD: DetectorHeard,
}


def check_body(kind: EventKind, body: Mapping[str, Any]) -> Body:
    """The body as a typed object; RecordError names the kind and the field that is missing or wrong."""
    try:
        return MODELS[kind].model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise RecordError(f"the body of a {kind} event is wrong: {field}: {first['msg']}.") from error


def read_body(event: Event) -> Body:
    """A stored event's body as a typed object; RecordError names the event too."""
    try:
        return check_body(event.kind, event.body)
    except RecordError as error:
        raise RecordError(f"event {event.seq} of {event.incident}: {error.message}") from error


def body_of(kind: EventKind, **fields: Any) -> dict[str, JsonValue]:
    """The JSON body of an event from plain values and domain objects, checked, unknown names refused.

    Raises RecordError naming the field that is missing, unknown or wrong.
    """
    unknown = sorted(set(fields) - set(MODELS[kind].model_fields))
    if unknown:
        raise RecordError(f"the body of a {kind} event has no field {unknown[0]!r}.")
    plain = {name: _plain(value) for name, value in fields.items()}
    return check_body(kind, plain).model_dump(mode="json")


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


__all__ = [
    "MODELS",
    "Acknowledged",
    "ActionAdded",
    "ActionSettled",
    "ApprovalAsked",
    "ApprovalDenied",
    "ApprovalGiven",
    "Assertion",
    "AttemptRefused",
    "Body",
    "CensusTaken",
    "CheckpointAnchored",
    "CheckpointSigned",
    "ClockStarted",
    "Closed",
    "ClosingOutcome",
    "Confirmed",
    "Contained",
    "DataSafe",
    "DeadlineReminded",
    "DeadlineSettled",
    "DetectorHeard",
    "DetectorSilent",
    "Escalated",
    "ExposureAdded",
    "FactsRead",
    "GlassBroken",
    "GlassReviewed",
    "IncidentOpened",
    "Linked",
    "MessageDelivered",
    "MessageDrafted",
    "MessageFailed",
    "MessageQueued",
    "MessageWithdrawn",
    "NeedToKnow",
    "NotContained",
    "Note",
    "PasskeyEnrolled",
    "PasskeyInvited",
    "PasskeyRemoved",
    "PlanMade",
    "Renewed",
    "Restored",
    "ReviewWritten",
    "ShardFinished",
    "SignalReceived",
    "SignalUnmatched",
    "StepFailed",
    "StepFinished",
    "StepOutcome",
    "StepStarted",
    "StepUndone",
    "body_of",
    "check_body",
    "read_body",
]
