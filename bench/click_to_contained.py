"""From a click in Slack to the first containing call and to proven containment, one at a time and 20 at once.

``keyquell serve`` runs as it would (web, chat, boards, Prefect), against the lab's AWS and a Slack that the real SDK
drives.  The click is the submission of the form of ``/keyquell declare``.  The reference makes the bare calls:
deactivate the access key, put the key policy, one refused call with the old credential; also 20 at once.

The lab's AWS, the Slack and this benchmark share the machine with what is measured.  ``burst_floor`` is what bare
boto3 takes for the very calls that 20 of our incidents make, 20 at once and without any waiting; ``ratio`` is that
floor divided by ours.  CPU seconds are for each of the 20 incidents, of our process and of the lab's AWS.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench._aws_victims import bare_calls, configure, p95, same_calls, victim
from flows.wiring import Wiring
from playbooks.record import EventKind
from simulations.lab.ministack import MiniStack
from simulations.lab.processes import Processes

ROOT = Path(__file__).parents[1]
SINGLE, BURST = 20, 20
LIMIT_SECONDS = 1.0
_START_SECONDS = 150.0


def run() -> dict[str, Any]:
    """Seconds from the click; ``ours`` is the p95 to proven for 20 at once, which is the harder case; ``reference`` and
    ``ratio`` are the floor and what of it is reached.
    """
    with tempfile.TemporaryDirectory(prefix="kq-click-") as name, _fake_slack() as slack:
        folder = Path(name)
        folder.chmod(0o755)
        with Processes(folder) as processes:
            account = MiniStack.start(processes, folder)
            victims = [victim(account, f"svc-{number}") for number in range(SINGLE + BURST + 1)]
            others = [victim(account, f"bare-{number}") for number in range(SINGLE + 2 * BURST)]
            config = configure(folder, account, victims, **_people(folder, slack))
            credentials = [f"aws-iam:cloud/{user.name}/{user.access_key_id}" for user, _ in victims]
            with _serving(folder, config, slack) as serving, Wiring.from_file(config) as wiring:
                desk = _Responder(slack, wiring)
                desk.measure(credentials[:1])
                single = [desk.measure([each])[0] for each in credentials[1 : SINGLE + 1]]
                bare = [bare_calls(account, *each) for each in others[:SINGLE]]
                busy = _Cpu(ours=serving, emulator=_pid(folder, "ministack"))
                burst = desk.measure(credentials[SINGLE + 1 :])
                cpu = busy.spent(over=BURST)
            bare_burst = _at_once([partial(bare_calls, account, *each) for each in others[SINGLE:-BURST]])
            floor = _at_once([same_calls(account, *each) for each in others[-BURST:]])
            account.close()
    first, proven = ([each[part] for each in single] for part in (0, 1))
    burst_first, burst_proven = ([each[part] for each in burst] for part in (0, 1))
    ratio = p95(floor) / p95(burst_proven)
    return {
        "name": f"click in Slack → proven dead, p95, 20 at once (one at a time: {p95(proven):.2f} s)",
        "ours": p95(burst_proven),
        "reference": p95(floor),
        "ratio": ratio,
        "target": 0.0,
        "limit": LIMIT_SECONDS,
        "unit": "s",
        **_figures("first_call", first),
        **_figures("proven", proven),
        **_figures("bare", bare),
        **_figures("burst_first_call", burst_first),
        **_figures("burst_proven", burst_proven),
        **_figures("burst_bare", bare_burst),
        **_figures("burst_floor", floor),
        **cpu,
        "load": round(os.getloadavg()[0], 1),
    }


class _Cpu:
    """CPU seconds that processes spend from now on."""

    def __init__(self, **pids: int) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._before = self._now()

    def spent(self, *, over: int) -> dict[str, float]:
        """For each of so many incidents."""
        return {f"cpu_{name}": round((now - self._before[name]) / over, 3) for name, now in self._now().items()}

    def _now(self) -> dict[str, float]:
        times = {name: each.cpu_times() for name, each in self._processes.items()}
        return {name: each.user + each.system for name, each in times.items()}


def _pid(folder: Path, name: str) -> int:
    """Of a server of the lab."""
    noted = map(json.loads, (folder / "processes.jsonl").read_text().splitlines())
    return next(int(each["pid"]) for each in noted if each["name"] == name)


def _at_once(calls: Sequence[Callable[[], float]]) -> list[float]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(lambda call: call(), calls))


class _Responder:
    """Somebody in Slack who fills in forms, and a reader of the record who takes the times."""

    def __init__(self, slack: Any, wiring: Wiring) -> None:
        self._slack = slack
        self._wiring = wiring
        self._known: dict[str, set[str]] = {}

    def measure(self, credentials: Sequence[str]) -> list[tuple[float, float]]:
        """Submit one form for each credential at the same time; seconds to the first call and to proven, for each."""
        users = self._slack.responders
        forms = [(*self._form(each, user), user) for each, user in zip(credentials, users, strict=False)]
        with ThreadPoolExecutor(len(forms)) as pool:
            clicked = list(pool.map(self._submit, forms))
        _until(lambda: self._contained() >= set(credentials), pause=0.3)
        return [self._times(each, at) for each, at in zip(credentials, clicked, strict=True)]

    def _form(self, credential: str, user: str) -> tuple[str, dict[str, Any]]:
        before = set(self._slack.views)
        self._slack.slash("/keyquell", "declare", user, self._slack.general)
        view = _until(
            lambda: next((v for k, v in self._slack.views.items() if k not in before and "submit" in v), None)
        )
        name = credential.split("/")[1]
        offered = self._slack.suggest("target", name, user, view_id=view["id"])
        value = next(each["value"] for each in offered if f"/{name}/" in each["value"] or each["value"] == credential)
        return view["id"], {"target": value, "kind": "credential"}

    def _submit(self, form: tuple[str, dict[str, Any], str]) -> datetime:
        clicked = datetime.now(UTC)
        self._slack.submit(*form)
        return clicked

    def _contained(self) -> set[str]:
        """The credentials whose cases are contained by now; looked for seldom, to leave the machine to the response."""
        done = [each.incident for each in self._wiring.records.of_kind(EventKind.CONTAINED)]
        for incident_id in done:
            if incident_id not in self._known:
                exposures = self._wiring.incident(incident_id).exposures
                self._known[incident_id] = {each.target for each in exposures}
        return set().union(*self._known.values())

    def _times(self, credential: str, clicked: datetime) -> tuple[float, float]:
        incident_id = next(name for name, targets in self._known.items() if credential in targets)
        events = self._wiring.records.events(incident_id)
        contained = next(each.at for each in events if each.kind is EventKind.CONTAINED)
        receipts = [each.body.get("receipt") for each in events if each.kind is EventKind.STEP_FINISHED]
        accepted = [datetime.fromisoformat(str(each["accepted_at"])) for each in receipts if isinstance(each, dict)]
        return (min(accepted) - clicked).total_seconds(), (contained - clicked).total_seconds()


@contextmanager
def _fake_slack() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "tests"))
    from fakes.slack_server import FakeSlack

    with FakeSlack() as slack:
        slack.responders = [slack.add_user(f"responder-{number}") for number in range(BURST)]
        slack.general = slack.add_channel("general", members=tuple(slack.responders))
        yield slack


def _people(folder: Path, slack: Any) -> dict[str, Any]:
    """The roster and the chat, as sections of the settings."""
    for name in ("bot_token", "app_token"):
        (folder / name).write_text(getattr(slack, name), encoding="utf-8")
        (folder / name).chmod(0o600)
    people = [
        {"name": f"responder-{number}", "slack": [account], "roles": ["declare", "contain"]}
        for number, account in enumerate(slack.responders)
    ]
    roster = {"people": people}
    (folder / "roster.yaml").write_text(yaml.safe_dump(roster), encoding="utf-8")
    chat = {name: f"file:{folder / name}" for name in ("bot_token", "app_token")}
    return {"roster": "roster.yaml", "slack": {**chat, "base_url": slack.base_url}, "web": {"port": 0}}


@contextmanager
def _serving(folder: Path, config: Path, slack: Any) -> Iterator[int]:
    """``keyquell serve`` on these settings, once it says that it is ready; the value is its process id."""
    log = folder / "serve.log"
    with log.open("w") as stream:
        child = subprocess.Popen(
            [sys.executable, "-m", "console.main", "serve", "--config", str(config)],
            cwd=ROOT,
            env={**os.environ, "KEYQUELL_HOME": str(folder / "home")},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        _until(lambda: "Ready." in log.read_text(), seconds=_START_SECONDS)
        yield child.pid
    except TimeoutError:
        sys.stderr.write(log.read_text())
        raise
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=60)


def _until(look: Any, *, seconds: float = 60.0, pause: float = 0.05) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError("what was waited for did not come")
        time.sleep(pause)
    return found


def _figures(name: str, values: list[float]) -> dict[str, float]:
    return {f"{name}_p50": round(statistics.median(values), 3), f"{name}_p95": round(p95(values), 3)}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
