"""The adversary succeeds with what really leaked, goes on when refused, and journals the backend's own codes."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import psutil
from attack_site import attempts, hand_over, running, wait_for

from integrations.credentials.pkcs11_pin import Pkcs11Pin
from integrations.data.files import FileStore
from integrations.keys.aws_kms import AwsKms
from integrations.keys.pkcs11 import Pkcs11Token
from integrations.secrets import read_secret
from playbooks.ports import WrappedKey, Wraps
from playbooks.refs import CredentialRef, DatasetRef, KeyRef
from simulations.journals import AdversaryConfig, Loot, Target
from simulations.lab.aws_account import RECOVERY_POLICY, REGION, allow
from simulations.lab.ministack import MiniStack
from simulations.lab.softhsm import NetworkHsm
from simulations.seed import plaintext
from simulations.techniques.stolen import copy_object, opens

DOCS = DatasetRef.parse("files:docs/invoices")


def now() -> datetime:
    return datetime.now(UTC)


class InTheClear:
    """Wraps a data key by doing nothing."""

    def wrap(
        self, key: KeyRef, data_keys: Sequence[bytes], *, contexts: Sequence[Mapping[str, str]]
    ) -> list[WrappedKey | Exception]:
        return [WrappedKey(each, context) for each, context in zip(data_keys, contexts, strict=True)]

    def unwrap(self, key: KeyRef, wrapped: Sequence[WrappedKey]) -> list[bytes | Exception]:
        return [each.blob for each in wrapped]


def stolen_objects(folder: Path, key: KeyRef, keys: Wraps, count: int = 3) -> tuple[Target, ...]:
    """Objects written by the owner and copied by a thief."""
    store = FileStore.open("docs", {"root": folder}, clock=now)
    for number in range(count):
        name = f"{number:06d}"
        store.write(DOCS, name, plaintext(1, str(DOCS), name), key=key, keys=lambda _key: keys)
    return tuple(copy_object(path.name, path.read_bytes()) for path in sorted((folder / DOCS.path).iterdir()))


def test_a_stolen_access_key_opens_stolen_objects_until_key_and_sessions_are_cut(
    cloud: MiniStack, tmp_path: Path
) -> None:
    """Both routes work, the key route and a session minted at once; a disabled key refuses both by name."""
    admin = cloud.create_user("adv-admin", RECOVERY_POLICY)
    victim = cloud.create_user("adv-victim", allow("kms:*", "sts:AssumeRole"))
    role = cloud.create_role("adv-reader", victim.arn, allow("kms:Decrypt"))
    key = KeyRef.parse(f"aws-kms:cloud/{cloud.create_key('adversary test')}")
    options = cloud.connection_options(admin.credential, admin.arn)
    backend = AwsKms.open("cloud", {k: v for k, v in options.items() if k != "type"}, clock=now)
    targets = stolen_objects(tmp_path, key, backend)
    secret = json.loads(read_secret(victim.credential))
    config = AdversaryConfig(
        technique="aws-kms-decrypt",
        loot=tmp_path / "loot.json",
        journal=tmp_path / "adversary.ndjson",
        rate_per_second=20,
        endpoint_url=cloud.endpoint_url,
        region=REGION,
        role_arn=role,
    )
    with running("simulations.adversary", config, tmp_path):
        hand_over(
            config,
            Loot(access_key_id=secret["access_key_id"], secret_access_key=secret["secret_access_key"], targets=targets),
        )
        wait_for(lambda: {each.detail for each in attempts(config) if each.ok} == {"key", "session"})
        backend.disable(key)
        disabled_at = now()
        wait_for(lambda: sum(1 for each in attempts(config) if each.at > disabled_at) > 10)
    after = [each for each in attempts(config) if each.at > disabled_at]
    assert {each.code for each in after} == {"DisabledException"}
    assert {each.detail for each in after} == {"key", "session"}
    assert not any(each.ok for each in after)
    assert all(earlier.at < later.at for earlier, later in pairwise(attempts(config)))
    backend.close()


def test_a_stolen_pin_unwraps_in_a_kept_session_until_the_session_is_cut_and_the_pin_changed(
    network_hsm: NetworkHsm, tmp_path: Path
) -> None:
    """A PIN change alone leaves the open session working; with its clients evicted, both routes are refused."""
    label = network_hsm.hsm.label
    network_hsm.hsm.generate_rsa("kek")
    key = KeyRef.parse(f"pkcs11:token={label};object=kek")
    options = {name: value for name, value in network_hsm.hsm.connection_options().items() if name != "type"}
    backend = Pkcs11Token.open(label, options, clock=now)
    targets = stolen_objects(tmp_path, key, backend)
    config = AdversaryConfig(
        technique="pkcs11-decrypt",
        loot=tmp_path / "loot.json",
        journal=tmp_path / "adversary.ndjson",
        rate_per_second=10,
        module=str(network_hsm.connection_options()["module"]),
        environment=network_hsm.environment,
        token=label,
        key_label="kek",
    )
    with running("simulations.adversary", config, tmp_path):
        hand_over(config, Loot(pin=read_secret(network_hsm.hsm.pin), targets=targets))
        wait_for(lambda: {each.detail for each in attempts(config) if each.ok} == {"open", "fresh"})
        network = {name: value for name, value in network_hsm.connection_options().items() if name != "type"}
        pins = Pkcs11Pin.open(label, network, clock=now)
        credential = CredentialRef.parse(f"pkcs11-pin:{label}/user")
        pins.cut(credential)
        pins.revoke_sessions(credential)
        cut_at = now()
        wait_for(lambda: sum(1 for each in attempts(config) if each.at > cut_at) > 10)
        pins.close()
    after = [each for each in attempts(config) if each.at > cut_at]
    assert not any(each.ok for each in after)
    assert "CKR_PIN_INCORRECT" in {each.code for each in after if each.detail == "open"}
    assert "CKR_PIN_INCORRECT" in {each.code for each in after if each.detail == "fresh"}
    backend.close()


def test_an_adversary_that_never_gets_anything_ends_cleanly(tmp_path: Path) -> None:
    """SIGTERM before the detonation ends it without a journal."""
    config = AdversaryConfig(
        technique="aws-kms-decrypt", loot=tmp_path / "loot.json", journal=tmp_path / "a.ndjson", rate_per_second=5
    )
    with running("simulations.adversary", config, tmp_path) as child:
        wait_for(lambda: len(psutil.Process(child.pid).children()) >= 2)
    assert child.returncode == 0
    assert not config.journal.exists()


def test_a_data_key_that_does_not_open_the_object_is_no_success(tmp_path: Path) -> None:
    """Some servers decrypt to garbage with status 200; only a tag that verifies counts."""

    [target] = stolen_objects(tmp_path, KeyRef.parse("aws-kms:cloud/x"), InTheClear(), count=1)
    data_key = base64.b64decode(target.wrapped)
    assert opens(target, data_key)
    assert not opens(target, bytes(len(data_key)))
    assert not opens(target, data_key[:-1])
