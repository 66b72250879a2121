"""The response as Prefect flows: sequence, gates, retries.  What was done is read from the record, never from Prefect.

Import only inside ``prefect_server``; importing Prefect takes two seconds and reads its environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from flows import intake
from flows.engine import StepFailed, reach_milestones, step_once
from flows.messages import deliver
from flows.wiring import Wiring
from playbooks.errors import NotApproved
from playbooks.plans import Phase
from playbooks.progress import next_move, ready_steps

_open_wirings: dict[str, Wiring] = {}


def _wiring(config: str) -> Wiring:
    """One wiring per process and settings file: a flow's parameters must stay plain and free of secrets."""
    if config not in _open_wirings:
        _open_wirings[config] = Wiring.from_file(Path(config))
    return _open_wirings[config]


async def _may_pass(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Retry only what may succeed by itself: an unreachable or throttling backend."""
    try:
        await state.aresult()
    except StepFailed as failure:
        return failure.retryable
    except Exception:  # noqa: BLE001 - any other failure is final, and is raised by the task itself
        return False
    return False


@task(
    name="step",
    task_run_name="{step_id}",
    retries=4,
    retry_delay_seconds=exponential_backoff(backoff_factor=0.5),
    retry_jitter_factor=0.2,
    retry_condition_fn=_may_pass,
    persist_result=False,
)
async def run_step(config: str, incident_id: str, step_id: str) -> str:
    """Run or adopt one step; its state is in the record."""
    left = threading.Event()
    try:
        status = await asyncio.to_thread(step_once, _wiring(config), incident_id, step_id, stop=left)
    finally:
        left.set()  # cancelled: the thread need not wait for whoever else is at this step
    return str(status.state)


async def _run_phase(config: str, incident_id: str, phase: Phase) -> None:
    """Run the ready steps of a phase side by side, until none is ready.

    A step that fails or hangs stops only what needs it: the others' successors start as soon as those are done.
    """
    tried: set[str] = set()
    running: set[asyncio.Task[Any]] = set()
    while True:
        wiring = _wiring(config)
        incident = await asyncio.to_thread(wiring.incident, incident_id)
        ready = [
            step for step in ready_steps(incident, wiring.authority()) if step.phase is phase and step.id not in tried
        ]
        tried.update(step.id for step in ready)
        running |= {asyncio.create_task(_settle(config, incident_id, step.id)) for step in ready}
        if not running:
            return
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()


async def _settle(config: str, incident_id: str, step_id: str) -> None:
    """Run a step to its end, good or bad; which of them it was is in the record.  Only a broken record is raised."""
    with contextlib.suppress(StepFailed, NotApproved):
        await run_step(config, incident_id, step_id)


def _phase_flow(phase: Phase) -> Callable[[str, str], Awaitable[None]]:
    @flow(name=phase.value, persist_result=False, validate_parameters=False)
    async def run(config: str, incident_id: str) -> None:
        await _run_phase(config, incident_id, phase)

    run.__doc__ = f"The {phase.value} phase of a response."
    return run


PHASES = {phase: _phase_flow(phase) for phase in Phase}


@flow(name="respond", flow_run_name="{incident_id}", persist_result=False, validate_parameters=False)
async def respond(config: str, incident_id: str, wait_for_approval_seconds: float = 0.0) -> str:
    """Drive an incident until it is ``closed``, ``blocked``, or ``waiting`` for people longer than asked."""
    wiring = _wiring(config)
    pause = wiring.settings.policy.poll_seconds
    waited, tried = 0.0, frozenset[str]()
    while True:
        await asyncio.to_thread(reach_milestones, wiring, incident_id)
        incident = await asyncio.to_thread(wiring.incident, incident_id)
        if incident.plan is None and incident.exposures and incident.closed is None:
            await asyncio.to_thread(intake.replan, wiring, incident_id)
            continue
        move = next_move(incident, tried=tried, authority=wiring.authority())
        match move.kind:
            case "run":
                tried |= {step.id for step in move.steps}
                await PHASES[move.steps[0].phase](config, incident_id)
            case "close":
                await asyncio.to_thread(intake.close, wiring, incident_id, by="keyquell", outcome="recovered")
            case "wait" if waited < wait_for_approval_seconds:
                await asyncio.sleep(pause)
                waited += pause
            case ended:
                await _deliver(wiring, incident_id)
                return "waiting" if ended == "wait" else ended
        await _deliver(wiring, incident_id)


async def _deliver(wiring: Wiring, incident_id: str) -> None:
    await asyncio.to_thread(deliver, wiring, incident_id)
