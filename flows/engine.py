"""The journalled step and the hot path of containment; nothing here waits for Prefect, Slack or paging.

``step_once`` writes a claim (synced), runs the convergent effect, and writes the result.  Whoever calls it later, the
flow included, finds that result.  A holder that died is replaced; one that lives is waited for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flows.effects import StepContext, StepResult, effect_of
from flows.owners import alive, this_owner
from flows.urgency import proving, urgent
from flows.wiring import Wiring
from playbooks.errors import BackendError, Conflict, KeyquellError, NotApproved, RetirementBlocked
from playbooks.event_bodies import body_of
from playbooks.incident import Incident
from playbooks.milestones import RETIREMENT_BLOCKED, due
from playbooks.plans import Phase, Step
from playbooks.progress import at_gate
from playbooks.record import EventKind
from playbooks.step_status import StepStatus

_HELD: set[tuple[str, str]] = set()
"""(incident, step) that threads of this process work on."""
_HELD_LOCK = threading.Lock()
_FINISHED = ("proven", "done", "undone", "unavailable")
_NEVER = threading.Event()
"""For those whom nobody stops."""


class StepFailed(KeyquellError):
    """A step did not succeed; ``retryable`` says whether the same step may succeed later."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


def step_once(
    wiring: Wiring,
    incident_id: str,
    step_id: str,
    *,
    accepted: Callable[[], None] = lambda: None,
    stop: threading.Event = _NEVER,
) -> StepStatus:
    """Run a step unless it has succeeded already, and return how it stands.

    One that somebody else is at is waited for until ``stop`` is set.
    Raises NotApproved when its gate is not satisfied, and StepFailed when the effect failed (which is recorded).
    """
    incident = _claim(wiring, incident_id, step_id, stop)
    if incident is None:
        return wiring.incident(incident_id).steps[step_id]
    step = _step(incident, step_id)
    try:
        _carry_out(wiring, incident, step, accepted)
    finally:
        with _HELD_LOCK:
            _HELD.discard((incident_id, step_id))
    return reach_milestones(wiring, incident_id).steps[step_id]


def _carry_out(wiring: Wiring, incident: Incident, step: Step, accepted: Callable[[], None]) -> None:
    incident_id, step_id = incident.id, step.id
    try:
        result = _run(wiring, incident, step, accepted)
    except KeyquellError as error:
        _fail(wiring, incident_id, step_id, error, retryable=isinstance(error, BackendError) and error.retryable)
    except Exception as error:  # noqa: BLE001 - recorded with its type and re-raised as StepFailed
        _fail(wiring, incident_id, step_id, error, retryable=False)
    else:
        _finish(wiring, incident_id, step_id, result)


def contain_now(wiring: Wiring, incident_id: str, *, stop: threading.Event = _NEVER) -> Incident:
    """Run every containing step whose gate allows it, side by side; a backend that hangs delays only itself.

    What a step needs must have been accepted, or have ended, before it starts; the proofs overlap.  Once ``stop`` is
    set, what runs ends and nothing is tried again.  A step that was never tried is still begun, but only if what it
    needs was accepted.  The rest is left to whoever contains next.
    """
    incident = wiring.incident(incident_id)
    planned = incident.plan.in_phase(Phase.CONTAIN) if incident.plan else ()
    steps = [step for step in planned if _may_run(wiring, incident, step)]
    taken = {step.id: threading.Event() for step in steps}
    went_well = set[str]()

    def run(step: Step) -> None:
        needs = [need for need in step.needs if need in taken]
        for need in needs:
            taken[need].wait()
        if stop.is_set() and (_tried_in_vain(incident, step) or not went_well.issuperset(needs)):
            taken[step.id].set()
            return
        with proving(), urgent() as done:

            def accepted() -> None:
                done()
                went_well.add(step.id)
                taken[step.id].set()

            try:
                if _attempt(wiring, incident_id, step.id, accepted=accepted, stop=stop):
                    went_well.add(step.id)
            finally:
                taken[step.id].set()

    with ThreadPoolExecutor(max_workers=max(1, len(steps))) as pool:
        outcomes = [pool.submit(run, step) for step in steps]
    for outcome in outcomes:
        outcome.result()
    return wiring.incident(incident_id)


def reach_milestones(wiring: Wiring, incident_id: str) -> Incident:
    """Write the milestones that the record justifies by now, each once; the incident as it then is."""
    while True:
        incident = wiring.incident(incident_id)
        milestones = due(incident)
        if not milestones:
            return incident
        kind, body = milestones[0]
        try:
            wiring.records.append(incident_id, kind=kind, body=body, expected_head=incident.head)
        except Conflict:
            continue


def _attempt(
    wiring: Wiring, incident_id: str, step_id: str, *, accepted: Callable[[], None], stop: threading.Event
) -> bool:
    """Run a step on the hot path with the policy's retries, until ``stop``; did it succeed?

    A failure is in the record, others go on.
    """
    policy = wiring.settings.policy
    delay = policy.retry_delay_seconds
    for _ in range(policy.retries + 1):
        try:
            return step_once(wiring, incident_id, step_id, accepted=accepted, stop=stop).state != "running"
        except StepFailed as failure:
            if not failure.retryable or stop.wait(delay):
                return False
            delay *= 2
    return False


def _tried_in_vain(incident: Incident, step: Step) -> bool:
    status = incident.steps[step.id]
    return status.attempts > 0 and status.state not in _FINISHED


def _claim(wiring: Wiring, incident_id: str, step_id: str, stop: threading.Event) -> Incident | None:
    """Write the claim; None when the step has succeeded already, by this or another hand.

    None, too, when another hand is at it and ``stop`` is set.
    """
    while True:
        incident = wiring.incident(incident_id)
        step, status = _step(incident, step_id), incident.steps[step_id]
        if status.state in _FINISHED or step.unavailable or incident.closed is not None:
            return None
        if status.state == "running" and _held(wiring, incident_id, step_id, status):
            if stop.wait(0.02):
                return None
            continue
        # The roster is that of now: a role that was taken away since the approval counts no more.
        allowed, reason = at_gate(incident, step, wiring.authority())
        if not allowed:
            raise NotApproved(f"{step_id} may not run: {reason}.", hint=f"Run `keyquell approve {incident_id}`.")
        kind = EventKind.STEP_STARTED
        body = body_of(kind, step=step_id, attempt=status.attempts + 1, owner=this_owner())
        with _HELD_LOCK:
            if (incident_id, step_id) in _HELD:
                continue
            try:
                wiring.records.append(incident_id, kind=kind, body=body, expected_head=incident.head)
            except Conflict:
                continue
            _HELD.add((incident_id, step_id))
        return incident


def _held(wiring: Wiring, incident_id: str, step_id: str, status: StepStatus) -> bool:
    """Is somebody at this step now?  Our own claim counts only while a thread of ours works on it.

    One whose result could not be written (a full disk, say) would otherwise hold this process up for ever.
    """
    if status.owner == this_owner():
        with _HELD_LOCK:
            return (incident_id, step_id) in _HELD
    return status.since is not None and alive(status.owner, since=status.since, now=wiring.clock())


def _run(wiring: Wiring, incident: Incident, step: Step, accepted: Callable[[], None]) -> StepResult:
    context = StepContext(wiring, incident, step, incident.resolve_inputs(step), accepted)
    return effect_of(step.action)(context)


def _finish(wiring: Wiring, incident_id: str, step_id: str, result: StepResult) -> None:
    body = body_of(
        EventKind.STEP_FINISHED,
        step=step_id,
        outcome=result.outcome,
        receipt=result.receipt,
        probes=tuple(result.probes),
        outputs=result.outputs,
        detail=result.detail,
    )
    wiring.records.append_next(incident_id, kind=EventKind.STEP_FINISHED, body=body)


def _fail(wiring: Wiring, incident_id: str, step_id: str, error: Exception, *, retryable: bool) -> None:
    code = RETIREMENT_BLOCKED if isinstance(error, RetirementBlocked) else getattr(error, "code", "")
    message = str(error) if isinstance(error, KeyquellError) else f"unexpected {type(error).__name__}"
    body = body_of(EventKind.STEP_FAILED, step=step_id, error=message, code=code, retryable=retryable)
    wiring.records.append_next(incident_id, kind=EventKind.STEP_FAILED, body=body)
    reach_milestones(wiring, incident_id)
    raise StepFailed(f"{step_id} failed: {message}", retryable=retryable) from error


def _step(incident: Incident, step_id: str) -> Step:
    if incident.plan is None:
        raise NotApproved(f"{incident.id} has no plan yet.", hint=f"Run `keyquell plan {incident.id}`.")
    return incident.plan.step(step_id)


def _may_run(wiring: Wiring, incident: Incident, step: Step) -> bool:
    return not step.unavailable and at_gate(incident, step, wiring.authority())[0]
