"""From a click in Slack to the first containing call and to proven containment, one at a time and 20 at once.

``keyquell serve`` runs as it would (web, chat, boards, Prefect), against the lab's AWS and a Slack that the real SDK
drives.  The click is the submission of the form of ``/keyquell declare``.  The reference makes the bare calls:
deactivate the access key, put the key policy, one refused call with the old credential; also 20 at once.
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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from bench._aws_victims import bare_calls, configure, p95, victim
from flows.wiring import Wiring
from playbooks.record import EventKind
from simulations.lab.ministack import MiniStack
from simulations.lab.processes import Processes

ROOT = Path(__file__).parents[1]
SINGLE, BURST = 20, 20
LIMIT_SECONDS = 1.0
_START_SECONDS = 150.0


def run() -> dict[str, Any]:
    """Seconds from the click; ``ours`` is the p95 to proven, one at a time; ``burst_…`` are for 20 at once."""
    with tempfile.TemporaryDirectory(prefix="kq-click-") as name, _fake_slack() as slack:
        folder = Path(name)
        folder.chmod(0o755)
        with Processes(folder) as processes:
            account = MiniStack.start(processes, folder)
            victims = [victim(account, f"svc-{number}") for number in range(SINGLE + BURST + 1)]
            others = [victim(account, f"bare-{number}") for number in range(SINGLE + BURST)]
            config = configure(folder, account, victims, **_people(folder, slack))
            credentials = [f"aws-iam:cloud/{user.name}/{user.access_key_id}" for user, _ in victims]
            with _serving(folder, config, slack), Wiring.from_file(config) as wiring:
                desk = _Responder(slack, wiring)
                desk.measure(credentials[:1])
                single = [desk.measure([each])[0] for each in credentials[1 : SINGLE + 1]]
                bare = [bare_calls(account, *each) for each in others[:SINGLE]]
                burst = desk.measure(credentials[SINGLE + 1 :])
                with ThreadPoolExecutor(BURST) as pool:
                    bare_burst = list(pool.map(lambda each: bare_calls(account, *each), others[SINGLE:]))
            account.close()
    first, proven = ([each[part] for each in single] for part in (0, 1))
    burst_first, burst_proven = ([each[part] for each in burst] for part in (0, 1))
    return {
        "name": f"click in Slack → proven dead, p95; 20 at once: {p95(burst_proven):.2f} s",
        "ours": p95(proven),
        "reference": p95(bare),
        "ratio": p95(bare) / p95(proven),
        "target": 0.0,
        "limit": LIMIT_SECONDS,
        "unit": "s",
        **_figures("first_call", first),
        **_figures("proven", proven),
        **_figures("bare", bare),
        **_figures("burst_first_call", burst_first),
        **_figures("burst_proven", burst_proven),
        **_figures("burst_bare", bare_burst),
    }


class _Responder:
    """Somebody in Slack who fills in forms, and a reader of the record who takes the times."""

    def __init__(self, slack: Any, wiring: Wiring) -> None:
        self._slack = slack
        self._wiring = wiring

    def measure(self, credentials: Sequence[str]) -> list[tuple[float, float]]:
        """Submit one form for each credential at the same time; seconds to the first call and to proven, for each."""
        users = self._slack.responders
        forms = [(*self._form(each, user), user) for each, user in zip(credentials, users, strict=False)]
        with ThreadPoolExecutor(len(forms)) as pool:
            clicked = list(pool.map(self._submit, forms))
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

    def _times(self, credential: str, clicked: datetime) -> tuple[float, float]:
        events = _until(lambda: self._contained(credential))
        contained = next(each.at for each in events if each.kind is EventKind.CONTAINED)
        receipts = [each.body.get("receipt") for each in events if each.kind is EventKind.STEP_FINISHED]
        accepted = [datetime.fromisoformat(str(each["accepted_at"])) for each in receipts if isinstance(each, dict)]
        return (min(accepted) - clicked).total_seconds(), (contained - clicked).total_seconds()

    def _contained(self, credential: str) -> Any:
        for incident_id in reversed(self._wiring.records.incidents()):
            incident = self._wiring.incident(incident_id)
            if any(each.target == credential for each in incident.exposures):
                return self._wiring.records.events(incident_id) if incident.contained_at else None
        return None


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
def _serving(folder: Path, config: Path, slack: Any) -> Iterator[None]:
    """``keyquell serve`` on these settings, until it says that it is ready."""
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
        yield
    except TimeoutError:
        sys.stderr.write(log.read_text())
        raise
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=60)


def _until(look: Any, *, seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.05)
    return found


def _figures(name: str, values: list[float]) -> dict[str, float]:
    return {f"{name}_p50": round(statistics.median(values), 3), f"{name}_p95": round(p95(values), 3)}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
