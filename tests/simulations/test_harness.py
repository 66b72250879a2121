"""The harness writes down what it is about to do, stays dirty once something failed, and cleans up after the dead."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from playbooks.errors import InvalidInput
from simulations import harness, phases
from simulations.environments import Environment, Site, build
from simulations.harness import Drill, run_drill
from simulations.journals import AdversaryConfig, Journal, Loot, WorkloadRequest, read_config, read_journal
from simulations.lab.processes import LabError, Processes
from simulations.labstate import DrillState, LabState, read_note, sweep_labs
from simulations.scanner import Scanner
from simulations.scenario import load
from simulations.seed import object_ids, plaintext, version_of
from simulations.verification import histories, holds

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


def made(directory: Path) -> LabState:
    directory.mkdir(parents=True, exist_ok=True)
    return LabState(directory, scenario="hsm-pin-leak", seed=7, clock=lambda: START)


def test_a_move_is_on_disk_before_it_is_made(tmp_path: Path) -> None:
    """While the lab warms up, the note says: cold, doing that."""
    state = made(tmp_path)
    with state.moving(DrillState.WARM, "warm up"):
        note = read_note(tmp_path)
        assert note is not None
        assert (note.state, note.doing) == (DrillState.COLD, "warm up")
    note = read_note(tmp_path)
    assert note is not None
    assert (note.state, note.doing) == (DrillState.WARM, "")


@pytest.mark.parametrize("error", [LabError("no"), KeyboardInterrupt(), SystemExit(143)])
def test_a_move_that_half_failed_leaves_the_lab_dirty(tmp_path: Path, error: BaseException) -> None:
    """Whatever stops it, also Ctrl-C; and a later success does not wash it clean."""
    state = made(tmp_path)
    with pytest.raises(type(error)), state.moving(DrillState.WARM, "warm up"):
        raise error
    with state.moving(DrillState.DETONATED, "detonate"):
        pass
    note = read_note(tmp_path)
    assert note is not None
    assert note.state is DrillState.DIRTY
    assert note.faults == (f"warm up: {type(error).__name__}",)


def test_a_lab_whose_harness_lives_is_left_alone(tmp_path: Path) -> None:
    """Two drills side by side do not end each other."""
    made(tmp_path / "mine")
    assert sweep_labs(tmp_path) == []
    assert (tmp_path / "mine").is_dir()


def test_a_killed_lab_is_swept_with_its_servers(tmp_path: Path) -> None:
    """The harness is gone: its servers are ended by their notes and the folder is removed."""
    lab = tmp_path / "killed"
    made(lab)
    processes = Processes(lab)
    child = processes.start("server", SLEEPER)
    orphan(lab)
    swept: list[list[str]] = []
    assert sweep_labs(tmp_path, on_swept=lambda _path, names: swept.append(names)) == [lab]
    assert swept == [["server"]]
    child.wait(timeout=10)
    assert not lab.exists()


def test_the_pid_of_a_dead_harness_may_belong_to_another_process(tmp_path: Path) -> None:
    """A process that only has the same number is not the owner, and is not touched."""
    lab = tmp_path / "killed"
    made(lab)
    note = json.loads((lab / "state.json").read_text())
    note["owner_created"] -= 1000
    (lab / "state.json").write_text(json.dumps(note))
    assert sweep_labs(tmp_path) == [lab]
    assert psutil.Process().is_running()


def orphan(lab: Path) -> None:
    """Make the lab's owner a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    note = json.loads((lab / "state.json").read_text())
    note["owner_pid"] = ended.pid
    (lab / "state.json").write_text(json.dumps(note))


@pytest.mark.parametrize("error", [LabError("no server"), KeyboardInterrupt()])
def test_the_lab_is_taken_down_when_the_build_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """A server that was up when the build stopped is down when run_drill raises, and the folder is gone."""
    started: list[subprocess.Popen[bytes]] = []

    def half_built(site: Site) -> Environment:
        started.append(site.processes.start("server", SLEEPER))
        raise error

    monkeypatch.setattr(harness, "build", half_built)
    root = tmp_path / "labs"
    with pytest.raises(type(error)):
        run_drill(Drill(load("hsm-pin-leak"), seed=1, output=tmp_path / "out", root=root))
    assert started[0].poll() is not None
    assert list(root.iterdir()) == []


def test_a_recipe_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """The error lists the known recipes."""
    scenario = load("hsm-pin-leak")
    recipe = scenario.environment.model_copy(update={"recipe": "castle"})
    site = Site(
        tmp_path, scenario.model_copy(update={"environment": recipe}), 1, Processes(tmp_path), lambda: datetime.now(UTC)
    )
    with pytest.raises(InvalidInput, match="castle"):
        build(site)


def leaky(directory: Path) -> Environment:
    """An environment with a PIN in every place that may hold one."""
    return Environment(
        config=directory / "keyquell.yaml",
        adversary=directory / "adversary.json",
        adversary_journal=directory / "a.ndjson",
        workload=directory / "workload.json",
        workload_journal=directory / "w.ndjson",
        loot_file=directory / "loot.json",
        loot=Loot(pin="canary-pin"),
        connections={"hsm": {"pin": "canary-pin"}},
        finding="canary-pin\n",
        finding_file=directory / "finding.json",
    )


def test_the_loot_is_handed_over_for_its_taker_alone(tmp_path: Path) -> None:
    """Detonation writes the loot, readable by the owner only, and says when."""
    site = Site(tmp_path, load("hsm-pin-leak"), 1, Processes(tmp_path), lambda: START)
    environment = leaky(tmp_path)
    assert phases.detonate(site, environment) == START
    assert environment.loot_file.stat().st_mode & 0o077 == 0


def test_the_world_shows_its_finding_only_after_the_leak(tmp_path: Path) -> None:
    """The scanner's file appears later, whole."""
    report = tmp_path / "finding.json"
    scanner = Scanner(report, "found\n", after_seconds=0.05)
    assert not report.exists()
    scanner.start()
    until(report.exists)
    scanner.stop()
    assert report.read_text() == "found\n"
    assert list(tmp_path.iterdir()) == [report]


def test_nothing_is_written_into_a_lab_that_is_being_taken_down(tmp_path: Path) -> None:
    """A drill that is interrupted before the finding is out leaves no thread that would write it."""
    scanner = Scanner(tmp_path / "finding.json", "found\n", after_seconds=60)
    scanner.start()
    scanner.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "scanner"]
    assert not list(tmp_path.iterdir())


def test_a_finding_that_cannot_be_written_ends_the_drill(tmp_path: Path) -> None:
    """A report that never came would otherwise look like a slow response."""
    scanner = Scanner(tmp_path / "gone" / "finding.json", "found\n", after_seconds=0)
    scanner.start()
    with pytest.raises(LabError, match="could not be written"):
        scanner.stop()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_environment_does_not_show_its_secrets(tmp_path: Path) -> None:
    """A traceback or a log of an environment holds no PIN."""
    assert "canary" not in repr(leaky(tmp_path))


def test_seeded_plaintext_is_repeatable_and_names_its_version() -> None:
    """The same for reader and workload; another seed, object or version is another plaintext."""
    one = plaintext(7, "files:docs/x", "000001", 3)
    assert one == plaintext(7, "files:docs/x", "000001", 3)
    assert version_of(one) == 3
    others = {plaintext(8, "files:docs/x", "000001", 3), plaintext(7, "files:docs/x", "000002", 3)}
    assert one not in others
    assert version_of(b"something else") is None
    assert object_ids(2) == ["000001", "000002"]


def write(version: int, second: int, *, ok: bool) -> WorkloadRequest:
    at = START + timedelta(seconds=second)
    return WorkloadRequest(
        at=at,
        finished_at=at,
        operation="write",
        dataset="d",
        object="o",
        ok=ok,
        latency_ms=1,
        plaintext_version=version,
    )


def test_a_failed_write_may_or_may_not_have_arrived() -> None:
    """The last confirmed version and what was tried after it are right; anything older is a lost write."""
    known = histories([write(1, 1, ok=True), write(2, 2, ok=True), write(3, 3, ok=False)])[("d", "o")]
    assert holds(7, "d", "o", plaintext(7, "d", "o", 2), known)
    assert holds(7, "d", "o", plaintext(7, "d", "o", 3), known)
    assert not holds(7, "d", "o", plaintext(7, "d", "o", 1), known)
    assert not holds(7, "d", "o", b"", known)


def test_a_journal_survives_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    """The torn last line is left out; a torn line elsewhere is an error with its number."""
    path = tmp_path / "w.ndjson"
    with Journal.open(path) as journal:
        journal.write(write(1, 1, ok=True))
        journal.write(write(2, 2, ok=True))
    whole = path.read_text()
    path.write_text(whole[:-20])
    assert [line.plaintext_version for line in read_journal(path, WorkloadRequest)] == [1]
    path.write_text("{\n" + whole)
    with pytest.raises(InvalidInput, match=r"w\.ndjson:1: "):
        list(read_journal(path, WorkloadRequest))
    assert list(read_journal(tmp_path / "none", WorkloadRequest)) == []


def test_a_configuration_that_is_wrong_names_file_and_field(tmp_path: Path) -> None:
    """So that a process that ends at once says why."""
    path = tmp_path / "adversary.json"
    path.write_text(json.dumps({"technique": "magic", "loot": "l", "journal": "j", "rate_per_second": 1}))
    with pytest.raises(InvalidInput, match=r"adversary\.json: technique"):
        read_config(path, AdversaryConfig)
