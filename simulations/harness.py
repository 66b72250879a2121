"""Runs a drill from an empty folder to a score, and always takes the lab down again.

cold → warm → detonated → scored, or dirty; each move is noted on disk before it is made (``labstate``).  The harness
never tells the response what leaked: it hands the loot to the adversary and watches the record.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from playbooks.ports import Clock
from simulations import phases
from simulations.environments import Environment, Site, build
from simulations.journals import AdversaryAttempt, WorkloadRequest, read_journal
from simulations.lab.processes import LabError, Processes
from simulations.labstate import DrillState, LabState, sweep_labs
from simulations.phases import Progress
from simulations.players import Players
from simulations.results import DataScore, DrillResult
from simulations.scanner import Scanner
from simulations.scenario import Scenario
from simulations.scoring import Course, score
from simulations.verification import verify

RESULT_FILE = "result.json"


@dataclass(frozen=True, slots=True)
class Drill:
    """What is to be run: the scenario, its seed, where results go and where labs are built.

    ``write_report`` makes the page for people from the result and the output folder and returns its path.
    """

    scenario: Scenario
    seed: int
    output: Path
    root: Path = field(default_factory=lambda: lab_root())
    backends: Mapping[str, str] = field(default_factory=dict)
    on_progress: Callable[[Progress], None] = lambda _progress: None
    write_report: Callable[[DrillResult, Path], Path] | None = None
    clock: Clock = lambda: datetime.now(UTC)


def lab_root() -> Path:
    """Where labs are built: a short path, since sockets may not have long ones, private to the user."""
    return Path(tempfile.gettempdir()) / f"keyquell-{os.getuid()}"


def run_drill(drill: Drill) -> DrillResult:
    """Run one drill and return its score; result, record, journals and logs are in ``drill.output``.

    Raises KeyquellError when the lab cannot be built or a disk is full; the lab is down when this returns or raises.
    """
    try:
        drill.output.mkdir(parents=True, exist_ok=True)
        drill.root.mkdir(parents=True, exist_ok=True, mode=0o711)
        for removed in sweep_labs(drill.root):
            _say(drill, "sweep", f"cleaned up after a drill that was killed ({removed.name})")
        with _ending_on_sigterm(), _lab(drill) as (site, state):
            return _run(drill, site, state)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise LabError(
            "the drill was stopped: there is no space left on the disk.",
            hint=f"It needs room in {drill.root} and in {drill.output}.",
        ) from error


def _run(drill: Drill, site: Site, state: LabState) -> DrillResult:
    with state.moving(DrillState.COLD, "build the lab"):
        environment = build(site)
    _say(drill, "build", "servers are up, data is seeded")
    players = Players(
        environment.config,
        site.scenario.players,
        on_approval=lambda name, _digest: _say(drill, "players", f"{name} approves the plan"),
    )
    delay = site.scenario.detection.finding_after_seconds
    scanner = Scanner(environment.finding_file, environment.finding, after_seconds=delay)
    try:
        with state.moving(DrillState.WARM, "warm up"):
            phases.start_response(site, environment)
            phases.start_world(site, environment)
            phases.warm_up(site, environment)
        _say(drill, "warm", "the service works, the response watches")
        with state.moving(DrillState.DETONATED, "detonate"):
            players.start()
            leaked_at = phases.detonate(site, environment)
            scanner.start()
        _say(drill, "leak", site.scenario.leak.what)
        with state.moving(DrillState.SCORED, "follow and score"):
            course = _follow(drill, site, environment, leaked_at)
            players.stop()
            scanner.stop()
            result = _score(drill, site, environment, course)
    finally:
        players.stop()
        scanner.stop()
    _write_result(drill, result)
    return result


def _follow(drill: Drill, site: Site, environment: Environment, leaked_at: datetime) -> Course:
    closed = phases.wait_until_closed(site, environment, lambda phase, text: _say(drill, phase, text))
    _say(drill, "after", "closed" if closed else "the time is up, and the incident is not closed")
    adversary_ran, workload_ran = phases.linger(site)
    phases.stop_world(site)
    return Course(leaked_at=leaked_at, adversary_ran_to_the_end=adversary_ran, workload_ran_to_the_end=workload_ran)


def _score(drill: Drill, site: Site, environment: Environment, course: Course) -> DrillResult:
    attempts = sorted(read_journal(environment.adversary_journal, AdversaryAttempt), key=lambda each: each.at)
    requests = sorted(read_journal(environment.workload_journal, WorkloadRequest), key=lambda each: each.at)
    events = phases.export_record(environment, drill.output)
    phases.keep_evidence(site, environment, drill.output)
    _say(drill, "verify", "every object is read and compared")
    faults: tuple[str, ...] = ()
    try:
        data = verify(environment, seed=drill.seed, requests=requests, clock=drill.clock)
    except Exception as error:  # noqa: BLE001  # whatever stops the verification makes the drill invalid, not the tool
        data = DataScore(objects=0, verified=0, lost=0, on_old_key=0)
        faults = (f"the data could not be verified ({type(error).__name__}: {error})",)
    return score(
        site.scenario,
        seed=drill.seed,
        attempts=attempts,
        requests=requests,
        events=events,
        data=data,
        course=Course(
            leaked_at=course.leaked_at,
            adversary_ran_to_the_end=course.adversary_ran_to_the_end,
            workload_ran_to_the_end=course.workload_ran_to_the_end,
            faults=(*course.faults, *faults),
        ),
        report_path=str(drill.output / "report.html") if drill.write_report else "",
    )


def _write_result(drill: Drill, result: DrillResult) -> None:
    if drill.write_report:
        drill.write_report(result, drill.output)
    (drill.output / RESULT_FILE).write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    _say(drill, "scored", "valid" if result.valid else "not valid")


@contextmanager
def _lab(drill: Drill) -> Iterator[tuple[Site, LabState]]:
    """A fresh lab directory with its processes; both are gone afterwards, whatever happened."""
    directory = Path(tempfile.mkdtemp(prefix=f"{drill.scenario.name[:8]}-", dir=drill.root))
    directory.chmod(0o711)  # servers that refuse to run as root need to pass through
    state = LabState(directory, scenario=drill.scenario.name, seed=drill.seed, clock=drill.clock)
    environment = drill.scenario.environment
    swapped = environment.model_copy(update={"backends": {**environment.backends, **drill.backends}})
    scenario = drill.scenario.model_copy(update={"environment": swapped})
    try:
        with Processes(directory) as processes:
            yield Site(directory, scenario, drill.seed, processes, drill.clock), state
    except BaseException:
        with suppress(OSError):
            phases.keep_logs(directory, drill.output)
        raise
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into an ordinary exit, so that the lab is taken down; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(143)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _say(drill: Drill, phase: str, text: str) -> None:
    drill.on_progress(Progress(drill.clock(), phase, text))
