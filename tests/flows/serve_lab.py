"""``keyquell serve`` as the process that people start, beside a chat, a pager and an account that the test plays."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import yaml
from fakes.authenticator import SoftAuthenticator
from fakes.pagerduty_server import FakePagerDuty
from fakes.slack_listener import options_for
from fakes.slack_server import FakeSlack
from small_shop import Shop, open_shop

import flows
from flows import step_up
from flows.settings import load_settings
from flows.wiring import Wiring
from integrations.slack.memory import CARD, EVENT
from playbooks.incident import Incident
from playbooks.record import EventKind, verify_chain
from simulations.lab.aws_account import AwsAccount, LabUser, allow

HOOK = "hook-secret-canary-7f3a91"
_T = TypeVar("_T")


def until(holds: Callable[[], _T], what: str, *, seconds: float = 60) -> _T:
    """The first true answer; an assertion error when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.05)
    return found


@dataclass
class ServeLab:
    """A shop with three leaked credentials to be, its settings, and the people and machines around it."""

    shop: Shop
    slack: FakeSlack
    pagerduty: FakePagerDuty
    ann: str
    credentials: list[LabUser]
    port: int
    home: Path
    lobby: str
    outputs: list[Path] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The web page."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """For a process of keyquell's."""
        root = str(Path(flows.__file__).parents[1])
        return {
            **os.environ,
            "KEYQUELL_HOME": str(self.home),
            "PYTHONPATH": root,
            "KEYQUELL_CONFIG": str(self.shop.config),
        }

    def declare(self, number: int) -> None:
        """Ann declares in Slack that an access key leaked."""
        user = self.credentials[number]
        target = f"aws-iam:cloud/{user.name}/{user.access_key_id}"
        self.slack.slash("/keyquell", "declare", self.ann, self.lobby)

        def form() -> dict[str, Any] | None:
            stack = self.slack.stacks.get(self.ann, [])
            view = self.slack.views.get(stack[-1]) if stack else None
            return view if view is not None and "submit" in view else None

        view = until(form, "the form")
        self.slack.suggest("target", user.name, self.ann, view_id=view["id"])
        self.slack.submit(view["id"], {"target": target, "kind": "credential", "note": "seen in a log"}, self.ann)

    def link(self, button: str) -> str:
        """Ann presses a button of a live card; the token of the link that she alone is shown."""

        def card() -> tuple[str, str] | None:
            with self.slack.lock:
                for channel in self.slack.channels.values():
                    for message in channel.messages:
                        if f"'kq:{button}'" in str(message.get("blocks", "")) and self.ann in channel.members:
                            return channel.id, message["ts"]
            return None

        def whispered() -> str | None:
            for each in list(self.slack.ephemerals):
                if found := re.search(r"/approve/([\w-]+)", json.dumps(each.get("blocks", []))):
                    return found[1]
            return None

        self._enrol()
        channel, ts = until(card, f"a card with {button}")
        self.slack.click(channel, ts, f"kq:{button}", self.ann)
        return until(whispered, "the link") or ""

    def _enrol(self) -> None:
        """Ann has a passkey."""
        authenticator = SoftAuthenticator(origin=f"http://localhost:{self.port}")
        with self.wiring() as wiring:
            token = step_up.invite(wiring, person="ann", by="admin").link.rpartition("/")[2]
            options = step_up.invited(wiring, token).options
            step_up.enrol(wiring, token, authenticator.create(options), label="key ring")

    def start(self) -> subprocess.Popen[bytes]:
        """Start to serve; what it says goes to a file of its own."""
        log = self.shop.root / f"serve-{len(self.outputs)}.log"
        self.outputs.append(log)
        with log.open("wb") as stream:
            return subprocess.Popen(
                [sys.executable, "-m", "console.main", "serve"],
                env=self.environment(), cwd=self.shop.root,
                stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        """Served until the end of the block, then stopped in order."""
        child = self.start()
        try:
            self.listening(child)
            yield child
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                assert child.wait(timeout=60) == 0, self.said()
        finally:
            end(child)

    def listening(self, child: subprocess.Popen[bytes]) -> None:
        """Wait until the web page answers."""

        def answers() -> bool:
            assert child.poll() is None, self.said()
            try:
                return httpx.get(f"{self.url}/healthz", timeout=1).status_code == 200
            except httpx.TransportError:
                return False

        until(answers, "the web page")

    def said(self) -> str:
        """What every process of this lab has written to its terminal."""
        return "".join(each.read_text(encoding="utf-8", errors="replace") for each in self.outputs)

    def leak(self, number: int, **more: str) -> httpx.Response:
        """A scanner reports one of the access keys by signed webhook."""
        found = {"id": f"leak-{number}", "key": self.credentials[number].access_key_id, **more}
        body = json.dumps(found).encode()
        digest = hmac.new(HOOK.encode(), body, hashlib.sha256).hexdigest()
        headers = {"x-signature-256": digest, "content-type": "application/json"}
        return httpx.post(f"{self.url}/hooks/detectors/scanner", content=body, headers=headers, timeout=10)

    @contextmanager
    def wiring(self) -> Iterator[Wiring]:
        """The record, read beside the process."""
        with Wiring.open(load_settings(self.shop.config)) as opened:
            yield opened

    def incidents(self) -> list[Incident]:
        """The cases as their records tell them."""
        with self.wiring() as wiring:
            return [wiring.incident(each) for each in wiring.records.incidents()]

    def all_contained(self, count: int) -> bool:
        """Is this number of cases open, each proven contained?"""
        found = self.incidents()
        return len(found) == count and all(each.contained_at is not None for each in found)

    def active(self, number: int) -> bool:
        """Does AWS still take the access key?"""
        user = self.credentials[number]
        listed = self.shop.account.client("iam").list_access_keys(UserName=user.name)["AccessKeyMetadata"]
        return {each["AccessKeyId"]: each["Status"] for each in listed}[user.access_key_id] == "Active"

    def told_once(self) -> None:
        """Assert that records are whole, and that chat and pager have each thing once and in order."""
        found = self.incidents()
        with self.wiring() as wiring:
            for incident_id in wiring.records.incidents():
                events = wiring.records.events(incident_id)
                verify_chain(events)
                kinds = [event.kind for event in events]
                assert kinds.count(EventKind.INCIDENT_OPENED) == 1
                finished = [event.body["step"] for event in events if event.kind is EventKind.STEP_FINISHED]
                assert len(finished) == len(set(finished)), finished
        names = self.channels()
        assert len(names) == len(set(names)) <= len(found)
        for name in names:
            self._channel_is_whole(name)
        keys = [each.alert.key for each in self.pagerduty.account.incidents]
        assert len(keys) == len(set(keys)) <= len(found)

    def _channel_is_whole(self, name: str) -> None:
        told = [each["metadata"] for each in self.slack.messages(name) if each.get("metadata")]
        assert [each["event_type"] for each in told].count(CARD) <= 1
        numbers = [each["event_payload"]["seq"] for each in told if each["event_type"] == EVENT]
        assert numbers == sorted(set(numbers)), numbers

    def channels(self) -> list[str]:
        """Private channels that were made."""
        return [each.name for each in self.slack.channels.values() if each.private and not each.id.startswith("D")]


@contextmanager
def serve_lab(
    account: AwsAccount, recovery: LabUser, pagerduty: FakePagerDuty, name: str, *, home: Path
) -> Iterator[ServeLab]:
    """A lab in a folder that PostgreSQL's own user may pass through; ``home`` is where Prefect's database lives."""
    root = Path(tempfile.mkdtemp(prefix="kq-serve-"))
    root.chmod(0o755)
    shop = open_shop(account, recovery, root / "s", name)
    (root / "s").chmod(0o755)
    pagerduty.reset()
    with FakeSlack() as slack:
        ann = slack.add_user("ann")
        lobby = slack.add_channel("general", members=(ann,))
        lab = ServeLab(shop, slack, pagerduty, ann, _credentials(shop), _free_port(), home, lobby)
        _configure(lab)
        try:
            yield lab
        finally:
            shutil.rmtree(root, ignore_errors=True)


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill what still runs of a process of ours, and of those it started."""
    with_children = []
    if child.poll() is None:
        with_children = psutil.Process(child.pid).children(recursive=True)
        child.kill()
    child.wait()
    for each in with_children:
        if each.is_running():
            each.kill()


def _credentials(shop: Shop) -> list[LabUser]:
    """Three users beside the shop's own, each in the estate."""
    users, estate = [], yaml.safe_load(shop.estate.read_text())
    for number in range(3):
        user = shop.account.create_user(f"{shop.user.name}-{number}", allow("kms:Decrypt"))
        users.append(user)
        estate["credentials"].append(
            {
                "ref": f"aws-iam:cloud/{user.name}/{user.access_key_id}",
                "consumer": estate["consumers"][0]["name"],
                "may_use": [shop.key],
                "secret": user.credential,
                "fingerprints": [{"kind": "access-key-id", "value": user.access_key_id}],
            }
        )
    shop.estate.write_text(yaml.safe_dump(estate, sort_keys=False))
    return users


def _configure(lab: ServeLab) -> None:
    shop, pagerduty = lab.shop, lab.pagerduty
    secrets = {"hook": HOOK, "routing": pagerduty.routing_key, "token": pagerduty.account.token}
    secrets["pd-hook"] = pagerduty.webhook_secrets[0]
    for name, value in secrets.items():
        (shop.root / name).write_text(value)
    ann = {"name": "ann", "slack": [lab.ann], "pagerduty": ["PASHA01"], "roles": ["declare", "contain", "approve"]}
    (shop.root / "roster.yaml").write_text(yaml.safe_dump({"version": 1, "people": [ann]}))
    settings = yaml.safe_load(shop.config.read_text())
    settings |= {
        "roster": "roster.yaml",
        "web": {"port": lab.port, "url": f"http://localhost:{lab.port}"},
        "slack": options_for(shop.root, lab.slack),
        "pagers": [
            {
                "type": "pagerduty", "name": "pd", "routing_key": "file:./routing", "api_token": "file:./token",
                "from_email": "ann@example.com", "webhook_secrets": ["file:./pd-hook"],
                "events_url": pagerduty.url, "api_url": pagerduty.url, "verify": str(pagerduty.ca),
            }
        ],
        "detectors": [
            {
                "type": "json", "name": "scanner", "auth": {"secret": "file:./hook"}, "external_id": "id",
                "kind": "credential", "fingerprints": [{"kind": "access-key-id", "path": "key"}],
                "summary": "Leak {id}",
            }
        ],
    }  # fmt: skip
    shop.config.write_text(yaml.safe_dump(settings, sort_keys=False))
    pagerduty.subscriber = f"{lab.url}/hooks/pagers/pd"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def change(lab: ServeLab, edit: Callable[[dict[str, Any]], None]) -> None:
    """Edit the settings."""
    settings = yaml.safe_load(lab.shop.config.read_text())
    edit(settings)
    lab.shop.config.write_text(yaml.safe_dump(settings, sort_keys=False))
