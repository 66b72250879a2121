"""Somebody who hunts a fault turns every log on: no secret and no body may be in them."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_fixtures import Account, aws
from fakes.pagerduty_server import FakePagerDuty
from fakes.slack_listener import options_for
from fakes.slack_server import FakeSlack

from integrations.slack.client import async_web_client, translated, web_client
from integrations.slack.options import read_options
from integrations.vendors.aws import AwsConnection, client, outsider
from integrations.vendors.pagerduty import PagerDutyAccount, PagerDutyClients
from integrations.vendors.pagerduty_incidents import PagerDutyIncidents
from playbooks.errors import KeyquellError, Refused

__all__ = ["aws"]

CANARY = "canary-zq9x-pasted-by-somebody"


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every logger as loud as it gets."""
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("loud").debug("hears everything")
        assert "hears everything" in caplog.text
        yield caplog


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as fake:
        yield fake


def test_botocore_tells_neither_keys_nor_plaintext_nor_signatures(aws: Account, logs: pytest.LogCaptureFixture) -> None:
    """A logged signature can be replayed for minutes; a logged answer of KMS holds the data key."""
    user, connection = aws.recovery, AwsConnection.read("quiet", aws.options)
    key = aws.lab.client("kms").create_key()["KeyMetadata"]["KeyId"]
    logs.clear()
    kms = client(connection, "kms")
    data_key = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    kms.encrypt(KeyId=key, Plaintext=CANARY.encode())
    outsider(connection, "kms", identity=user.credential).encrypt(KeyId=key, Plaintext=CANARY.encode())
    with pytest.raises(kms.exceptions.ClientError):
        kms.decrypt(KeyId=key, CiphertextBlob=CANARY.encode())
    secret = kms._request_signer._credentials.secret_key
    plain = base64.b64encode(CANARY.encode()).decode()
    data = base64.b64encode(data_key["Plaintext"]).decode()
    for each in (secret, CANARY, plain, data, repr(data_key["Plaintext"]), "Signature="):
        assert each not in logs.text


def test_slacks_sdk_tells_neither_tokens_nor_bodies(
    slack: FakeSlack, tmp_path: Path, logs: pytest.LogCaptureFixture
) -> None:
    """Blocking and in coroutines, taken and refused."""
    options = options_for(tmp_path, slack)
    sync = web_client(read_options("slack", options))
    channel = sync.conversations_create(name="kq-quiet", is_private=True)["channel"]["id"]

    async def post(text: str, where: str) -> None:
        await async_web_client(read_options("slack", options)).chat_postMessage(channel=where, text=text)

    sync.chat_postMessage(channel=channel, text=CANARY)
    asyncio.run(post(CANARY, channel))
    with pytest.raises(KeyquellError), translated("to post"):
        sync.chat_postMessage(channel="CNOTHERE", text=CANARY)
    with pytest.raises(KeyquellError), translated("to post"):
        asyncio.run(post(CANARY, "CNOTHERE"))
    for each in (CANARY, slack.bot_token, slack.app_token, slack.signing_secret):
        assert each not in logs.text


def test_pagerdutys_sdk_tells_neither_keys_nor_what_was_sent(tmp_path: Path, logs: pytest.LogCaptureFixture) -> None:
    """The SDK would show the end of a key."""
    with FakePagerDuty(tmp_path) as fake:
        (tmp_path / "routing").write_text(fake.routing_key)
        (tmp_path / "token").write_text(fake.account.token)
        account = PagerDutyAccount(
            routing_key=f"file:{tmp_path}/routing",
            api_token=f"file:{tmp_path}/token",
            from_email="asha@example.com",
            events_url=fake.url,
            api_url=fake.url,
            verify=fake.ca,
        )
        clients = PagerDutyClients(account)
        clients.events().trigger(CANARY, "test", dedup_key="one")
        rest = PagerDutyIncidents(clients, from_email=account.from_email)
        incident = rest.find("one")
        assert incident is not None
        rest.note(str(incident["id"]), CANARY)
        fake.fault = "forbidden"
        with pytest.raises(Refused):
            rest.note(str(incident["id"]), CANARY)
        clients.close()
        for each in (CANARY, fake.routing_key, fake.account.token, fake.account.token[-4:]):
            assert each not in logs.text
