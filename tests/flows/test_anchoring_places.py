"""Checkpoints at the real places, signed by an HSM: also after a kill, and while a place or the token is away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from anchored_case import GOES_ON, SIGNER, configured, contained, of_kind, opened
from fakes.pagerduty_options import pager_options
from fakes.pagerduty_server import FakePagerDuty
from fakes.slack_listener import options_for
from fakes.slack_server import FakeSlack
from fakes.time_stamp_authority import TimeStamps
from written_case import ID, Case

import flows
from flows.anchoring import Anchoring, lay_everywhere, signing_feed
from flows.boards import remember, view_of
from flows.doctor import examine
from flows.evidence import make_pack, verify_pack
from flows.soundness import refuse_mistakes
from flows.wiring import Wiring
from integrations.signers.installation_key import FILE
from playbooks.desk import Actor
from playbooks.errors import BackendError, KeyquellError
from playbooks.record import EventKind
from simulations.lab.aws_account import AwsAccount, LabUser, allow
from simulations.lab.processes import Processes
from simulations.lab.softhsm import SoftHsm


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimeStamps]:
    with TimeStamps(tmp_path_factory.mktemp("tsa")) as running:
        yield running


KILLED = """
import os, signal, sys
from pathlib import Path
from flows.anchoring import lay_everywhere
from flows.wiring import Wiring
from integrations.records.sql import SqlRecords
SqlRecords.append_next = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
with Wiring.from_file(Path(sys.argv[1])) as wiring:
    lay_everywhere(wiring, sys.argv[2])
"""


def test_a_process_that_is_killed_between_place_and_record_leaves_one_message(tmp_path: Path) -> None:
    """The next one finds in Slack what the killed one posted, and writes it down."""
    with FakeSlack() as slack:
        config = configured(tmp_path, slack=options_for(tmp_path, slack), anchors=[{"type": "slack"}])
        with opened(config) as wiring:
            contained(wiring)
            show(wiring, "surfaces", "slack")
            signing_feed(wiring).round(GOES_ON)
        environment = {**os.environ, "PYTHONPATH": str(Path(flows.__file__).parents[1])}
        for _ in range(2):
            command = [sys.executable, "-c", KILLED, str(config), ID]
            ended = subprocess.run(command, env=environment, timeout=60, check=False)
            assert ended.returncode == -signal.SIGKILL
        with opened(config) as wiring:
            assert of_kind(wiring, EventKind.CHECKPOINT_ANCHORED) == []
            [laid] = lay_everywhere(wiring, ID)
            [anchored] = of_kind(wiring, EventKind.CHECKPOINT_ANCHORED)
        [message] = [each for each in slack.messages("kq-calm-otter") if "Checkpoint of" in each["text"]]
        assert laid.reference == anchored.body["reference"]
        assert laid.reference.endswith(message["ts"])


def show(wiring: Wiring, room: str, name: str) -> None:
    """The case is on the board, or somebody is called, by the real adapter."""
    surface = wiring.parts(room)[name]()
    view = view_of(wiring, wiring.incident(ID), wiring.records.events(ID), name)
    ids = surface.show(view) if room == "surfaces" else surface.page(view, level=1, person=None)
    remember(wiring, ID, name, dict(ids))


def test_each_place_has_a_thread_and_a_dead_one_costs_the_others_nothing(tmp_path: Path, authority: TimeStamps) -> None:
    """The part of ``serve``: it signs, lays down, says what failed, and ends when it is told to."""
    dead = {"type": "rfc3161", "name": "dead", "url": "http://127.0.0.1:9/"}
    config = configured(tmp_path, anchors=[dead, {"type": "rfc3161", "name": "good", "url": authority.url}])
    said: list[tuple[str, KeyquellError]] = []
    with opened(config) as wiring:
        stop = threading.Event()
        anchoring = Anchoring(wiring, on_trouble=lambda *each: said.append(each))
        thread = threading.Thread(target=anchoring.run, args=(stop,))
        thread.start()
        try:
            Case().write_to(wiring.records)
            time.sleep(0.1)
            contained(wiring)
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and not (said and of_kind(wiring, EventKind.CHECKPOINT_ANCHORED)):
                time.sleep(0.05)
        finally:
            stop.set()
            thread.join(20)
        assert not thread.is_alive()
        assert {name for name, _ in said} == {"anchor dead"}
        assert [each.body["anchor"] for each in of_kind(wiring, EventKind.CHECKPOINT_ANCHORED)] == ["good"]


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    """A token with a signing key."""
    folder = tmp_path_factory.mktemp("hsm")
    with Processes(folder) as processes:
        made = SoftHsm.start(processes, folder)
        made.generate_ec("evidence")
        yield made


def test_a_token_that_is_away_is_said_and_the_key_on_disk_does_not_take_over(tmp_path: Path, hsm: SoftHsm) -> None:
    """Nothing is signed, and no key of the installation is even made; when the token is back, it signs."""
    copy = tmp_path / "token"
    options = {**hsm.connection_options(), "environment": {"SOFTHSM2_CONF": str(tmp_path / "softhsm2.conf")}}
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {copy}\nobjectstore.backend = file\n")
    copy.mkdir()
    with opened(configured(tmp_path, evidence=SIGNER, connections={"kek-hsm": options})) as wiring:
        contained(wiring)
        signing = signing_feed(wiring)
        with pytest.raises(BackendError, match="object=evidence") as caught:
            signing.round(GOES_ON)
        assert "Nothing is signed with another key" in caught.value.hint
        assert of_kind(wiring, EventKind.CHECKPOINT_SIGNED) == []
        assert not (wiring.settings.state / FILE).exists()
    copy.rmdir()
    shutil.copytree(hsm.directory / "tokens", copy)
    with opened(wiring.settings.source) as again:
        signing_feed(again).round(GOES_ON)
        [signed] = of_kind(again, EventKind.CHECKPOINT_SIGNED)
        assert (signed.body["key"], signed.body["algorithm"]) == (SIGNER["signer"], "ecdsa-p256-sha256")


def test_a_case_signed_by_an_hsm_lies_at_all_four_places_without_a_secret(
    tmp_path: Path, hsm: SoftHsm, authority: TimeStamps, shop_account: tuple[AwsAccount, LabUser]
) -> None:
    """All of it by real adapters; the pack shows the signature and the stamp, and says of the rest: look there."""
    account, _ = shop_account
    bucket = f"evidence-{uuid4().hex[:8]}"
    account.client("s3").create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    user = account.create_user(f"anchor-{uuid4().hex[:8]}", allow("s3:*"))
    with FakeSlack() as slack, FakePagerDuty(tmp_path) as pagerduty:
        config = configured(
            tmp_path,
            evidence=SIGNER,
            connections={
                "kek-hsm": hsm.connection_options(),
                "cloud": account.connection_options(user.credential, user.arn),
            },
            slack=options_for(tmp_path, slack),
            pagers=[{"type": "pagerduty", **pager_options(tmp_path, pagerduty)}],
            anchors=[
                {"type": "rfc3161", "url": authority.url},
                {"type": "slack"},
                {"type": "pagerduty"},
                {"type": "s3-object-lock", "connection": "cloud", "bucket": bucket, "retain_days": 1},
            ],
        )
        with opened(config) as wiring:
            refuse_mistakes(wiring)
            contained(wiring)
            show(wiring, "surfaces", "slack")
            show(wiring, "pagers", "pagerduty")
            signing_feed(wiring).round(GOES_ON)
            laid = lay_everywhere(wiring, ID)
            assert [(each.anchor, each.error) for each in laid] == [
                ("rfc3161", ""), ("slack", ""), ("pagerduty", ""), ("s3-object-lock", ""),
            ]  # fmt: skip
            assert lay_everywhere(wiring, ID) == laid
            pack = make_pack(wiring, Actor(account="dana", via="cli"), ID)
            record = "".join(each.model_dump_json() for each in wiring.records.events(ID))
        lies = account.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
        content = account.client("s3").get_object(Bucket=bucket, Key=lies[0]["Key"])["Body"].read()
        told = [record.encode(), content, b"".join(authority.asked), str(slack.messages("kq-calm-otter")).encode()]
        told += [str(note).encode() for each in pagerduty.account.incidents for note in each.notes]
        secrets = [slack.bot_token, pagerduty.account.token, pagerduty.routing_key]
        secrets += [(hsm.directory / name).read_text() for name in ("user.pin", "so.pin")]
        secrets += list(yaml.safe_load(Path(user.credential.removeprefix("file:")).read_text()).values())[1:]
        assert len(told) == 5
        assert [place for place, text in enumerate(told) for each in secrets if each.encode() in text] == []
    assert content in told[1]
    shown(pack.data, authority)


def shown(pack: bytes, authority: TimeStamps) -> None:
    """What the one file proves of the places, with the authority's root and without."""
    found = verify_pack(pack, tsa_roots=[authority.root])
    assert found.holds, found.failed
    assert any("existed at" in each and "a root that you trust" in each for each in found.proven)
    assert any("were signed by the key pkcs11:token=kek-hsm;object=evidence" in each for each in found.proven)
    for place in ("slack", "pagerduty", "s3-object-lock"):
        assert any(f"({place}) holds the checkpoint" in each and "look there" in each for each in found.open)
    without = verify_pack(pack)
    assert without.holds
    assert not any("existed at" in each for each in without.proven)
    assert any("existed at" in each and "--tsa-roots" in each for each in without.open)


def test_a_stamp_of_another_authority_fails_the_pack(tmp_path: Path, authority: TimeStamps) -> None:
    """Whoever names roots wants those."""
    with opened(configured(tmp_path, anchors=[{"type": "rfc3161", "url": authority.url}])) as wiring:
        contained(wiring)
        signing_feed(wiring).round(GOES_ON)
        lay_everywhere(wiring, ID)
        pack = make_pack(wiring, Actor(account="dana", via="cli"), ID)
    (tmp_path / "other").mkdir()
    with TimeStamps(tmp_path / "other") as other:
        assert any("does not verify" in each for each in verify_pack(pack.data, tsa_roots=[other.root]).failed)


def test_doctor_looks_at_the_signer_and_the_places(tmp_path: Path, hsm: SoftHsm, authority: TimeStamps) -> None:
    """The key's fingerprint is there to be written down elsewhere."""
    missing = {**SIGNER, "signer": "pkcs11:token=kek-hsm;object=none"}
    for evidence, sound in ((SIGNER, True), (missing, False)):
        config = configured(
            tmp_path,
            evidence=evidence,
            connections={"kek-hsm": hsm.connection_options()},
            anchors=[{"type": "rfc3161", "url": authority.url}],
        )
        (tmp_path / "estate.yaml").write_text("keys: [{ref: 'pkcs11:token=kek-hsm;object=evidence'}]\n")
        found = {each.what: each for each in examine(config)}
        assert found["evidence.signer"].ok is sound
        assert ("SHA-256 of the public key" in found["evidence.signer"].advice) is sound
        assert found["anchor rfc3161"].ok
