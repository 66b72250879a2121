"""The lab's AWS answers as AWS does where a response depends on it."""

from __future__ import annotations

import itertools
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from integrations.vendors.aws import AwsConnection, client
from simulations.lab.aws_account import LabUser, allow
from simulations.lab.ministack import MiniStack
from simulations.lab.processes import Processes

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniStack]:
    directory = tmp_path_factory.mktemp("ministack")
    with Processes(directory) as processes:
        server = MiniStack.start(processes, directory)
        yield server
        server.close()


@pytest.fixture
def kms(lab: MiniStack) -> Any:
    return lab.client("kms")


@pytest.fixture
def key(lab: MiniStack) -> str:
    return lab.create_key(f"key {next(NUMBERS)}")


def as_user(lab: MiniStack, user: LabUser, service: str = "kms") -> Any:
    options = lab.connection_options(user.credential, user.arn)
    return client(AwsConnection.read("lab", options), service)


def code(call: Any, **arguments: Any) -> str:
    """The code with which AWS refuses a call."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    return str(raised.value.response["Error"]["Code"])


def test_ciphertext_is_authenticated(kms: Any, key: str) -> None:
    """A flipped bit, a cut tail, another context: each is InvalidCiphertextException, never garbage."""
    blob = kms.encrypt(KeyId=key, Plaintext=b"x" * 32, EncryptionContext={"a": "b"})["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext={"a": "b"})["Plaintext"] == b"x" * 32
    for bad in (blob[:-1] + bytes([blob[-1] ^ 1]), blob[:-4], blob[:40] + bytes([blob[40] ^ 1]) + blob[41:]):
        refused = code(kms.decrypt, CiphertextBlob=bad, EncryptionContext={"a": "b"})
        assert refused == "InvalidCiphertextException"
    assert code(kms.decrypt, CiphertextBlob=blob, EncryptionContext={"a": "c"}) == "InvalidCiphertextException"


def test_the_wrong_key_is_named_as_such(lab: MiniStack, kms: Any, key: str) -> None:
    """A ciphertext of another key is IncorrectKeyException."""
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert code(kms.decrypt, KeyId=lab.create_key("other"), CiphertextBlob=blob) == "IncorrectKeyException"


def test_reencrypt_moves_a_data_key(lab: MiniStack, kms: Any, key: str) -> None:
    """The old key can be disabled afterwards; the reply names both materials."""
    new = lab.create_key("new")
    data_key = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    moved = kms.re_encrypt(CiphertextBlob=data_key["CiphertextBlob"], DestinationKeyId=new)
    kms.disable_key(KeyId=key)
    assert kms.decrypt(KeyId=new, CiphertextBlob=moved["CiphertextBlob"])["Plaintext"] == data_key["Plaintext"]
    assert moved["SourceKeyMaterialId"] == data_key["KeyMaterialId"] != moved["DestinationKeyMaterialId"]


def test_reencrypt_needs_both_permissions(lab: MiniStack, kms: Any, key: str) -> None:
    """From the source and to the destination, each on its own key."""
    new = lab.create_key("new")
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    for action in ("kms:ReEncryptFrom", "kms:ReEncryptTo"):
        user = lab.create_user(f"half-{next(NUMBERS)}", allow(action))
        refused = code(as_user(lab, user).re_encrypt, CiphertextBlob=blob, DestinationKeyId=new)
        assert refused == "AccessDeniedException"
    user = lab.create_user(f"whole-{next(NUMBERS)}", allow("kms:ReEncrypt*"))
    assert as_user(lab, user).re_encrypt(CiphertextBlob=blob, DestinationKeyId=new)["CiphertextBlob"]


def test_rotation_is_not_containment(kms: Any, key: str) -> None:
    """Old material keeps decrypting, and the reply says which material that was."""
    old = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    kms.rotate_key_on_demand(KeyId=key)
    new = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    assert old["KeyMaterialId"] != new["KeyMaterialId"]
    answer = kms.decrypt(CiphertextBlob=old["CiphertextBlob"])
    assert (answer["Plaintext"], answer["KeyMaterialId"]) == (old["Plaintext"], old["KeyMaterialId"])
    listed = kms.list_key_rotations(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
    assert {entry["KeyMaterialId"] for entry in listed} == {old["KeyMaterialId"], new["KeyMaterialId"]}


def test_a_key_pending_deletion_cannot_be_enabled(kms: Any, key: str) -> None:
    """Only cancelling helps, and the key is disabled afterwards."""
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert code(kms.enable_key, KeyId=key) == "KMSInvalidStateException"
    assert code(kms.encrypt, KeyId=key, Plaintext=b"x") == "KMSInvalidStateException"
    kms.cancel_key_deletion(KeyId=key)
    assert code(kms.encrypt, KeyId=key, Plaintext=b"x") == "DisabledException"
    assert code(kms.cancel_key_deletion, KeyId=key) == "KMSInvalidStateException"


def test_a_dry_run_does_nothing_and_says_what_would_be(kms: Any, key: str) -> None:
    """DryRunOperationException means that it would have worked; a disabled key answers as ever."""
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert code(kms.encrypt, KeyId=key, Plaintext=b"x", DryRun=True) == "DryRunOperationException"
    assert code(kms.decrypt, CiphertextBlob=blob, DryRun=True) == "DryRunOperationException"
    kms.disable_key(KeyId=key)
    assert code(kms.decrypt, CiphertextBlob=blob, DryRun=True) == "DisabledException"


def test_grants_allow_and_end(lab: MiniStack, kms: Any, key: str) -> None:
    """A grant is a permission of its own, until it is revoked."""
    user = lab.create_user(f"grantee-{next(NUMBERS)}")
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    grant = kms.create_grant(KeyId=key, GranteePrincipal=user.arn, Operations=["Decrypt"])["GrantId"]
    mine = as_user(lab, user)
    assert mine.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    assert code(mine.encrypt, KeyId=key, Plaintext=b"x") == "AccessDeniedException"
    kms.revoke_grant(KeyId=key, GrantId=grant)
    assert code(mine.decrypt, CiphertextBlob=blob) == "AccessDeniedException"


def test_nobody_can_lock_themselves_out(lab: MiniStack, key: str) -> None:
    """A policy under which its author could not put the next one is refused, and the old one stays."""
    admin = as_user(lab, lab.create_user(f"admin-{next(NUMBERS)}", allow("kms:*")))
    before = admin.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    nobody = json.dumps({"Version": "2012-10-17", "Statement": []})
    refused = code(admin.put_key_policy, KeyId=key, PolicyName="default", Policy=nobody)
    assert refused == "MalformedPolicyDocumentException"
    assert admin.get_key_policy(KeyId=key, PolicyName="default")["Policy"] == before


def test_a_permission_on_the_key_holds_for_its_alias(lab: MiniStack, key: str) -> None:
    """IAM judges the key, whichever name the caller used."""
    alias = f"alias/named-{next(NUMBERS)}"
    lab.client("kms").create_alias(AliasName=alias, TargetKeyId=key)
    arn = lab.client("kms").describe_key(KeyId=key)["KeyMetadata"]["Arn"]
    user = lab.create_user(f"alias-{next(NUMBERS)}", allow("kms:Encrypt", resource=arn))
    assert as_user(lab, user).encrypt(KeyId=alias, Plaintext=b"x")["KeyId"] == arn


def test_a_user_has_two_access_keys_at_most(lab: MiniStack) -> None:
    """The third is LimitExceeded."""
    user = lab.create_user(f"keys-{next(NUMBERS)}")
    iam = lab.client("iam")
    iam.create_access_key(UserName=user.name)
    assert code(iam.create_access_key, UserName=user.name) == "LimitExceeded"


def test_the_trail_holds_refusals_and_pages(lab: MiniStack, key: str) -> None:
    """Who called, which key, and the code of a refusal; more than one page when there is more."""
    user = lab.create_user(f"trail-{next(NUMBERS)}", allow("kms:DescribeKey"))
    mine, trail = as_user(lab, user), lab.client("cloudtrail")
    for _ in range(60):
        mine.describe_key(KeyId=key)
    assert code(mine.encrypt, KeyId=key, Plaintext=b"x") == "AccessDeniedException"
    wanted = [{"AttributeKey": "AccessKeyId", "AttributeValue": user.access_key_id}]
    pages = list(trail.get_paginator("lookup_events").paginate(LookupAttributes=wanted))
    events = [json.loads(event["CloudTrailEvent"]) for page in pages for event in page["Events"]]
    assert (len(pages), len(events)) == (2, 61)
    assert len({event["eventID"] for event in events}) == 61
    newest = events[0]
    assert (newest["eventName"], newest["errorCode"]) == ("Encrypt", "AccessDeniedException")
    assert newest["userIdentity"]["arn"] == user.arn
    assert newest["resources"][0]["ARN"].endswith(key)


def test_secrets_of_users_are_files_for_their_owner(lab: MiniStack) -> None:
    """Mode 0600, and the secret is not part of what is handed around."""
    user = lab.create_user(f"files-{next(NUMBERS)}")
    path = Path(user.credential.removeprefix("file:"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["secret_access_key"] not in repr(user)
