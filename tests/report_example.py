"""A realistic drill and a realistic incident, made from the same types as real ones, for the tests of the report."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from playbooks.event_bodies import body_of
from playbooks.exposures import Exposure, ExposureKind, Fingerprint, Signal
from playbooks.plans import Action, Gate, Phase, Plan, Reversibility, Step
from playbooks.receipts import Census, Outcome, ProbeResult, Receipt
from playbooks.record import GENESIS, Event, EventKind
from simulations.journals import AdversaryAttempt, WorkloadRequest
from simulations.results import (
    AdversaryScore,
    DataScore,
    DrillResult,
    DrillTimings,
    ObjectiveResult,
    RecordScore,
    WorkloadScore,
)
from simulations.scenario import Metric

START = datetime(2026, 3, 14, 9, 26, 53, 120000, tzinfo=UTC)
KEY = "aws-kms:cloud/5f0c1d9e-6d0a-4f5e-9b53-1c4a8c1f0a11"
CREDENTIAL = "aws-iam:cloud/svc-app/AKIAEXAMPLE7QJ4XT2Q"
FILES, CARDS = "files:docs/invoices", "postgres:shop/public.orders.card"
_STEPS: tuple[tuple[Phase, Action, str, float, float, str], ...] = (
    (Phase.CONTAIN, Action.CUT_CREDENTIAL, CREDENTIAL, 2.45, 3.0, "InvalidClientTokenId"),
    (Phase.CONTAIN, Action.REVOKE_SESSIONS, CREDENTIAL, 2.46, 2.7, "AccessDeniedException"),
    (Phase.CONTAIN, Action.QUARANTINE_KEY, KEY, 2.47, 3.1, "AccessDeniedException"),
    (Phase.RENEW, Action.CREATE_KEY, KEY, 3.4, 3.6, ""),
    (Phase.RENEW, Action.SWITCH_KEY, KEY, 3.65, 3.8, ""),
    (Phase.RENEW, Action.ISSUE_CREDENTIAL, CREDENTIAL, 3.4, 3.9, ""),
    (Phase.REENCRYPT, Action.REWRAP, FILES, 4.0, 6.1, ""),
    (Phase.REENCRYPT, Action.REWRAP, CARDS, 4.0, 5.2, ""),
    (Phase.VERIFY, Action.PROBE_OLD, KEY, 6.3, 7.0, "AccessDeniedException"),
    (Phase.VERIFY, Action.PROBE_NEW, KEY, 6.3, 6.9, ""),
    (Phase.VERIFY, Action.TAKE_CENSUS, FILES, 6.4, 6.9, ""),
    (Phase.VERIFY, Action.TAKE_CENSUS, CARDS, 6.4, 6.8, ""),
    (Phase.VERIFY, Action.CHECK_CONSUMER, "svc-app", 6.3, 6.6, ""),
    (Phase.NOTIFY, Action.NOTIFY, "responders", 2.5, 2.56, ""),
    (Phase.NOTIFY, Action.NOTIFY, "managers", 3.3, 3.36, ""),
    (Phase.RETIRE, Action.SCHEDULE_DELETION, KEY, 8.6, 8.8, ""),
    (Phase.REVIEW, Action.REVIEW, "incident", 8.9, 9.0, ""),
)


def at(seconds: float) -> datetime:
    """This long after the leak."""
    return START + timedelta(seconds=seconds)


def plan(incident: str = "inc-7f3a") -> Plan:
    """The plan of the example."""
    steps = []
    for number, (phase, action, target, *_rest) in enumerate(_STEPS, start=1):
        retire = phase is Phase.RETIRE
        steps.append(
            Step(
                id=f"{phase.value}.{number}-{action.value}",
                phase=phase,
                action=action,
                target=target,
                reversibility=Reversibility.WINDOWED if retire else Reversibility.REVERSIBLE,
                gate=Gate.TWO_PERSON if retire else Gate.PRE_APPROVED,
                price="The service stops until its new credential arrives." if action is Action.CUT_CREDENTIAL else "",
                why=f"The exposed credential may use it, so {action.value} comes here.",
            )
        )
    steps.append(
        Step(
            id="contain.18-stop-encryption",
            phase=Phase.CONTAIN,
            action=Action.STOP_ENCRYPTION,
            target=KEY,
            reversibility=Reversibility.REVERSIBLE,
            gate=Gate.PRE_APPROVED,
            why="New data under the old key would have to move again.",
            unavailable="AWS KMS cannot forbid encryption alone; the quarantine covers it.",
        )
    )
    return Plan(
        incident_id=incident,
        playbook="kms-credential-leak",
        playbook_version=1,
        exposures=(f"credential of {CREDENTIAL}",),
        steps=tuple(steps),
        unknowns=(f"the backups of {CARDS}: nobody wrote down how long they are kept",),
        residual=("What was decrypted before containment stays known to the attacker.",),
    )


class Writer:
    """Builds a chain of events at given times."""

    def __init__(self, incident: str = "inc-7f3a") -> None:
        self.incident = incident
        self.events: list[Event] = []

    def add(self, seconds: float, kind: EventKind, **body: Any) -> None:
        """Append one event; times never go back."""
        when = max([at(seconds), *(event.at for event in self.events[-1:])])
        self.events.append(
            Event.link(
                incident=self.incident,
                seq=len(self.events),
                at=when,
                kind=kind,
                body=body_of(kind, **body),
                prev=self.events[-1].hash if self.events else GENESIS,
            )
        )


def opening(writer: Writer, *, exercise: bool = True, codename: str = "quiet-heron", summary: str = "") -> None:
    """Everything up to the plan."""
    writer.add(
        2.3,
        EventKind.INCIDENT_OPENED,
        codename=codename,
        severity="high",
        exercise=exercise,
        requested_by="detector:trail",
        playbook="kms-credential-leak",
        scenario="kms-credential-leak" if exercise else "",
    )
    signal = Signal(
        source="trail",
        external_id="evt-1",
        kind=ExposureKind.CREDENTIAL,
        fingerprints=(Fingerprint(kind="access-key-id", value="AKIAEXAMPLE7QJ4XT2Q"),),
        summary=summary or "The access key of svc-app decrypts with an unknown client (aws-cli).",
        observed_at=at(2.1),
        confidence=0.9,
    )
    writer.add(2.32, EventKind.SIGNAL_RECEIVED, signal=signal)
    exposure = Exposure(kind=ExposureKind.CREDENTIAL, target=CREDENTIAL, confidence=0.9)
    writer.add(2.34, EventKind.EXPOSURE_ADDED, exposure=exposure)
    writer.add(2.4, EventKind.PLAN_MADE, plan=plan(writer.incident).model_dump(mode="json"))


def events(*, exercise: bool = True) -> list[Event]:
    """The whole record of a case that went well."""
    writer = Writer()
    opening(writer, exercise=exercise)
    made = plan()
    todo: list[tuple[float, EventKind, dict[str, Any]]] = []
    for step, (_phase, action, target, start, end, code) in zip(made.steps, _STEPS, strict=False):
        probes = [_probe(target, code, end - 0.1 * back) for back in (3, 2, 1)] if code else []
        outcome = (
            "proven" if code or action in (Action.PROBE_NEW, Action.TAKE_CENSUS, Action.CHECK_CONSUMER) else "done"
        )
        receipt = Receipt(
            subject=target,
            move=action.value,
            requested_at=at(start),
            accepted_at=at(start + 0.04),
            proven_at=at(end) if probes else None,
            request_id="8d7c1f0e",
        )
        detail = "Not probed: the attacker's own sessions cannot be tried." if action is Action.REVOKE_SESSIONS else ""
        todo.append((start, EventKind.STEP_STARTED, {"step": step.id, "attempt": 1, "owner": "responder"}))
        body = {"step": step.id, "outcome": outcome, "receipt": receipt, "probes": tuple(probes), "detail": detail}
        todo.append(
            (end, EventKind.STEP_FINISHED, {**body, "probes": [each.model_dump(mode="json") for each in probes]})
        )
    for dataset, objects, when in ((FILES, 40, 6.9), (CARDS, 60, 6.8)):
        census = Census(
            dataset=dataset, objects=objects, bytes=objects * 410, on_new=objects, on_old=0, taken_at=at(when)
        )
        todo.append((when, EventKind.CENSUS_TAKEN, {"census": census}))
    todo += [
        (3.15, EventKind.CONTAINED, {"probes": 9, "not_shown": ("grants in other accounts",)}),
        (3.95, EventKind.RENEWED, {}),
        (7.05, EventKind.DATA_SAFE, {"datasets": (FILES, CARDS)}),
        (7.1, EventKind.RESTORED, {"consumers": ("svc-app",)}),
        (7.6, EventKind.APPROVAL_GIVEN, {"approver": "Ana", "digest": made.digest, "method": "cli"}),
        (8.4, EventKind.APPROVAL_GIVEN, {"approver": "Bo", "digest": made.digest, "method": "cli"}),
        (2.5, EventKind.MESSAGE_QUEUED, {**_message(1, "responders")}),
        (2.6, EventKind.MESSAGE_DELIVERED, {"id": "m1", "channel": "file"}),
        (3.3, EventKind.MESSAGE_QUEUED, {**_message(2, "managers")}),
        (9.2, EventKind.CLOSED, {"by": "Ana", "outcome": "recovered"}),
    ]
    for seconds, kind, body in sorted(todo, key=lambda each: each[0]):
        writer.add(seconds, kind, **body)
    return writer.events


def attempts() -> list[AdversaryAttempt]:
    """Twenty tries a second; the access key dies at 2.5 s, the session at 2.9 s."""
    chance, found, seconds, number = random.Random(7), [], 0.15, 0
    while seconds < 11.2:
        number += 1
        route = "session" if number % 2 else "key"
        ok = seconds < (2.9 if route == "session" else 2.5)
        code = "" if ok else ("AccessDeniedException" if route == "session" else "InvalidClientTokenId")
        end = seconds + chance.uniform(0.01, 0.03)
        found.append(
            AdversaryAttempt(
                at=at(seconds), finished_at=at(end), technique="aws-kms-decrypt", ok=ok, code=code, detail=route
            )
        )
        seconds += 0.05
    return found


def requests() -> list[WorkloadRequest]:
    """The service fails from the cut to the new credential, 1.5 s later."""
    chance, found, seconds = random.Random(8), [], -3.0
    while seconds < 11.2:
        ok = not 2.5 < seconds < 4.0
        latency = chance.uniform(4, 22)
        found.append(
            WorkloadRequest(
                at=at(seconds),
                finished_at=at(seconds + latency / 1000),
                operation="read",
                dataset=FILES,
                object="000004",
                ok=ok,
                code="" if ok else "InvalidClientTokenId",
                latency_ms=latency,
            )
        )
        seconds += 0.05
    return found


def result(*, contained: bool = True) -> DrillResult:
    """The score that fits."""
    return DrillResult(
        scenario="kms-credential-leak",
        seed=1789,
        valid=True,
        passed=contained,
        objectives=_objectives("" if contained else "not contained: the attacker was not seen to be stopped"),
        timings=_timings(contained=contained),
        adversary=AdversaryScore(
            attempts=221,
            successes=51,
            last_success_at=at(2.89),
            refusals={"AccessDeniedException": 83, "InvalidClientTokenId": 87},
        ),
        workload=WorkloadScore(requests=284, failures=30, downtime_seconds=1.5, p50_ms=12.8, p99_ms=21.6),
        data=DataScore(objects=100, verified=100, lost=0, on_old_key=0),
        record=RecordScore(events=60, head="a" * 64, verified=True),
        report_path="report.html",
    )


def _objectives(fault: str) -> tuple[ObjectiveResult, ...]:
    """Two that are met or not, and three that are measured; ``fault`` is why containment was not true."""
    return (
        _met("valid", "The drill shows what it set out to show."),
        _met("true-containment", "Containment is true, and not claimed earlier.", fault),
        _measured("detected", "The abuse is noticed within 10 s.", "detection_seconds", 1.93, limit=10),
        _measured("no-loss", "No object is lost.", "objects_lost", 0, limit=0),
        _measured("service", "The service is down for at most 20 s.", "downtime_seconds", 1.5, limit=20),
    )


def _met(identifier: str, sentence: str, fault: str = "") -> ObjectiveResult:
    return ObjectiveResult(
        id=identifier, sentence=sentence, metric=None, limit=None, measured=None, passed=not fault, note=fault
    )


def _measured(identifier: str, sentence: str, metric: Metric, measured: float, *, limit: float) -> ObjectiveResult:
    return ObjectiveResult(
        id=identifier, sentence=sentence, metric=metric, limit=limit, measured=measured, passed=True, note=""
    )


def _timings(*, contained: bool) -> DrillTimings:
    return DrillTimings(
        leaked_at=START,
        first_abuse_at=at(0.17),
        detected_at=at(2.1),
        declared_at=at(2.3),
        contained_claimed_at=at(3.15) if contained else None,
        contained_true_at=at(2.89) if contained else None,
        renewed_at=at(3.95),
        data_safe_at=at(7.05),
        restored_at=at(7.1),
        closed_at=at(9.2),
    )


def _probe(target: str, code: str, seconds: float) -> ProbeResult:
    return ProbeResult(
        subject=target, operation="Decrypt", expected="refused", outcome=Outcome.REFUSED, code=code, at=at(seconds)
    )


def _message(number: int, audience: str) -> dict[str, str]:
    return {
        "id": f"m{number}",
        "audience": audience,
        "subject": "[EXERCISE] quiet-heron: a cloud credential is out",
        "body": "The access key of svc-app is out.\nPhase: containing. Next: quarantine-key.",
    }
