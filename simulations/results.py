"""A drill's result, as ``drill run --json`` prints it; ``docs/drill-result.schema.json`` is made from here."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_serializer

from playbooks.record import EventKind
from simulations.scenario import Metric


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ObjectiveResult(_Part):
    """One objective and what was measured.

    Besides the scenario's own there are always two without a metric: ``valid`` (did the drill show anything?) and
    ``true-containment`` (containment is true, and was not claimed earlier).
    """

    id: str
    sentence: str
    metric: Metric | None
    limit: float | None
    measured: float | None = Field(description="None: could not be measured, which is a failure.")
    passed: bool
    note: str = Field(description="Why it failed; empty when it passed.")


class DrillTimings(_Part):
    """When each thing happened, RFC 3339 with microseconds; null when it did not."""

    leaked_at: AwareDatetime | None = None
    first_abuse_at: AwareDatetime | None = None
    detected_at: AwareDatetime | None = None
    declared_at: AwareDatetime | None = None
    contained_claimed_at: AwareDatetime | None = None
    contained_true_at: AwareDatetime | None = None
    renewed_at: AwareDatetime | None = None
    data_safe_at: AwareDatetime | None = None
    restored_at: AwareDatetime | None = None
    closed_at: AwareDatetime | None = None

    @field_serializer("*", when_used="json")
    def _microseconds(self, value: AwareDatetime | None) -> str | None:
        return None if value is None else value.isoformat(timespec="microseconds")


class AdversaryScore(_Part):
    """What the attacker got; ``refusals`` counts by the backend's own code."""

    attempts: int
    successes: int
    last_success_at: AwareDatetime | None
    refusals: dict[str, int]

    @field_serializer("last_success_at", when_used="json")
    def _microseconds(self, value: AwareDatetime | None) -> str | None:
        return None if value is None else value.isoformat(timespec="microseconds")


class WorkloadScore(_Part):
    """What the legitimate service saw.  Latencies are of requests that worked."""

    requests: int
    failures: int
    downtime_seconds: float
    p50_ms: float | None
    p99_ms: float | None


class DataScore(_Part):
    """Objects compared one by one with what they must hold, by a reader that shares no code with the response."""

    objects: int = Field(ge=0)
    verified: int = Field(ge=0)
    lost: int = Field(ge=0)
    on_old_key: int = Field(ge=0)


class RecordScore(_Part):
    """The incident's record."""

    events: int
    head: str
    verified: bool


class DrillResult(_Part):
    """One drill, scored.  Only ``valid`` and ``passed`` together are a success."""

    scenario: str
    seed: int
    valid: bool
    passed: bool
    objectives: tuple[ObjectiveResult, ...]
    timings: DrillTimings
    adversary: AdversaryScore
    workload: WorkloadScore
    data: DataScore
    record: RecordScore
    report_path: str


MILESTONES: dict[str, EventKind] = {
    "declared_at": EventKind.INCIDENT_OPENED,
    "contained_claimed_at": EventKind.CONTAINED,
    "renewed_at": EventKind.RENEWED,
    "data_safe_at": EventKind.DATA_SAFE,
    "restored_at": EventKind.RESTORED,
    "closed_at": EventKind.CLOSED,
}
"""Which event of the record marks which time."""


def drill_result_schema() -> dict[str, Any]:
    """JSON Schema of a drill's result (draft 2020-12)."""
    schema = DrillResult.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
