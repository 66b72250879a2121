"""Drills that are interrupted, killed, doubled or starved: nothing is left running, and one sentence says why."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from simulations.labstate import sweep_labs

pytestmark = pytest.mark.lab

CHILD = Path(__file__).with_name("drill_child.py")
ROOT = Path(__file__).parents[2]
PHASES = {
    "while the servers start": r"",
    "when the data is seeded": r"servers are up",
    "when the service works": r"the service works",
    "while the attacker is at work": r"user PIN of the token",
}


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """keyquell's home of these tests alone; what still runs there is ended afterwards.

    Not below pytest's own folder, which the database's user may not enter.
    """
    with tempfile.TemporaryDirectory(prefix="keyquell-home-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        for process in _below(folder):
            process.kill()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a short name, unlike pytest's own: the path of a unix socket has room for 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="kq-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def drill(root: Path, output: Path, home: Path, scenario: str = "hsm-pin-leak") -> Iterator[subprocess.Popen[str]]:
    """A drill that runs; what it prints goes to a file."""
    root.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "KEYQUELL_HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with (root.parent / "said").open("w") as said:
        child = subprocess.Popen(
            [sys.executable, str(CHILD), scenario, str(root), str(output)],
            stdout=said,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
        )
        try:
            yield child
        finally:
            child.kill()
            child.wait()


def _said(root: Path) -> str:
    return (root.parent / "said").read_text(encoding="utf-8")


def _wait_for(child: subprocess.Popen[str], root: Path, words: str) -> None:
    """Until the drill has said this, or has a lab at all when nothing is asked for."""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline and child.poll() is None:
        if re.search(words, _said(root)) if words else any(root.glob("*/processes.jsonl")):
            return
        time.sleep(0.05)
    raise AssertionError(f"the drill did not come as far as {words!r}:\n{_said(root)}")


def _below(folder: Path) -> list[psutil.Process]:
    """Running processes that name something below this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = f"{folder}/" in " ".join(process.cmdline()) or process.cwd().startswith(f"{folder}/")
            if inside and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found


def _gone(folder: Path, *, besides: int = 0) -> list[psutil.Process]:
    """What is still there after a moment of grace."""
    deadline = time.monotonic() + 10
    while (left := [each for each in _below(folder) if each.pid != besides]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


@pytest.mark.parametrize(
    ("phase", "number", "code"),
    [*((phase, signal.SIGINT, 130) for phase in PHASES), ("while the attacker is at work", signal.SIGTERM, 143)],
)
def test_an_interrupted_drill_takes_everything_down(
    tmp_path: Path, home: Path, phase: str, number: signal.Signals, code: int
) -> None:
    """In every phase: no process and no lab is left, the exit code tells the signal, and no traceback is shown."""
    root = tmp_path / "labs"
    with drill(root, tmp_path / "out", home) as child:
        _wait_for(child, root, PHASES[phase])
        child.send_signal(number)
        assert child.wait(timeout=60) == code, _said(root)
    assert _gone(root) == []
    assert list(root.iterdir()) == []
    said = _said(root)
    assert "Traceback" not in said
    assert sum("nterrupted" in line for line in said.splitlines()) == 1


@pytest.mark.parametrize("phase", ["while the servers start", "when the service works"])
def test_what_a_killed_drill_left_is_swept_by_the_next_start(tmp_path: Path, home: Path, phase: str) -> None:
    """SIGKILL leaves servers behind; the sweep with which every drill begins ends them and removes the lab."""
    root = tmp_path / "labs"
    with drill(root, tmp_path / "out", home) as child:
        _wait_for(child, root, PHASES[phase])
        child.kill()
        child.wait()
    assert len(sweep_labs(root)) == 1
    assert _gone(root) == []
    assert list(root.iterdir()) == []


def test_a_running_drill_is_not_swept_by_another(tmp_path: Path, home: Path) -> None:
    """A second start leaves the lab of a living harness alone."""
    root = tmp_path / "labs"
    with drill(root, tmp_path / "out", home) as child:
        _wait_for(child, root, "")
        assert sweep_labs(root) == []
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=60) == 130
    assert _gone(root) == []


def test_a_missing_hsm_is_said_with_the_package_that_brings_it(tmp_path: Path, home: Path) -> None:
    """Without softhsm2-util on the path the drill ends before it began, and says what to install."""
    root = tmp_path / "labs"
    root.mkdir()
    environment = {**os.environ, "KEYQUELL_HOME": str(home), "PYTHONPATH": str(ROOT), "PATH": "/nowhere"}
    command = [sys.executable, str(CHILD), "hsm-pin-leak", str(root), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 1
    assert "softhsm2" in done.stderr
    assert "apt-get install" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("full", ["labs", "out"])
def test_a_full_disk_ends_with_a_clear_sentence(tmp_path: Path, home: Path, full: str) -> None:
    """Whether labs or results find no room: one sentence, an exit code, nothing left running."""
    root, output = tmp_path / "labs", tmp_path / "out"
    for place in (root, output):
        place.mkdir()
    with _small_disk(tmp_path / full):
        environment = {**os.environ, "KEYQUELL_HOME": str(home), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(CHILD), "hsm-pin-leak", str(root), str(output)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        assert "space" in done.stderr or "disk" in done.stderr, done.stderr
        assert _gone(root) == []
        assert list(root.iterdir()) == []


@contextmanager
def _small_disk(place: Path) -> Iterator[None]:
    """A disk of 64 KiB at this place; skips where mounting is not allowed."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0711", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)
