"""What every AWS adapter shares: the connection's options, clients with our own timeouts, and error translation."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as AwsConnectionError
from botocore.parsers import ResponseParserError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from integrations.options import first_mistake
from integrations.secrets import read_secret
from integrations.vendors.aws_outsider import AGENT, Door, Outsider
from playbooks.errors import (
    BackendError,
    IntegrityFailure,
    InvalidInput,
    NotFound,
    Refused,
    Throttled,
    Unavailable,
    Unreachable,
)

# botocore 1.43 shows requests, answers of KMS and signatures at DEBUG; these names keep their own level when their
# parent's is changed.
for _name in ("botocore", *(f"botocore.{part}" for part in ("auth", "endpoint", "hooks", "httpsession", "parsers"))):
    logging.getLogger(_name).setLevel(logging.WARNING)

REFUSALS: Mapping[str, str] = {
    "DisabledException": "The key is disabled.",
    "KMSInvalidStateException": "The key's state does not permit this; read its state with describe.",
    "AccessDeniedException": "A policy denies this.",
    "AccessDenied": "A policy denies this.",
    "UnrecognizedClientException": "The access key is inactive or unknown.",
    "InvalidClientTokenId": "The access key is inactive or unknown.",
    "ExpiredTokenException": "The session is over.",
    "ExpiredToken": "The session is over.",
}
"""Codes by which AWS says no on purpose; nothing else counts as a refusal."""

_INTEGRITY = {"InvalidCiphertextException", "IncorrectKeyException", "KMSInvalidSignatureException"}
_THROTTLES = {
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "SlowDown",
}
_MISSING = {"NotFoundException", "NoSuchEntity", "ResourceNotFoundException"}
_QUOTAS = {"LimitExceededException", "LimitExceeded"}

_NO_ANSWER = (AwsConnectionError, HTTPClientError, IncompleteReadError, ResponseParserError)

# Only models and defaults are shared; credentials and connections belong to each client alone.
_CORE: Any = botocore.session.get_session()
_FACTORY: Any = boto3.session.Session(botocore_session=_CORE)
_BUILDING = threading.Lock()

_DOORS: dict[tuple[AwsConnection, str, float], Door] = {}
_DOORS_LOCK = threading.Lock()
_KEPT_DOORS = 32


class AwsConnection(BaseModel):
    """Options of a connection of type ``aws``.

    ``recovery_principal`` is the ARN that ``credential`` logs in as: a quarantine exempts it.  ``session_roles`` are
    the roles whose sessions are revoked with a credential; None finds them by the roles' trust policies.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = "aws"
    region: str
    endpoint_url: str | None = None
    credential: str
    recovery_principal: str = Field(pattern=r"^arn:[a-z-]+:(iam|sts)::\d{12}:")
    session_roles: tuple[str, ...] | None = None
    requests_per_second: float | None = Field(default=None, gt=0, description="Cap on batches; None: no cap.")
    max_connections: int = Field(default=16, ge=1, le=200)

    @classmethod
    def read(cls, name: str, options: Mapping[str, Any]) -> AwsConnection:
        """Validate the options of the connection ``name``; InvalidInput names the first field that is wrong."""
        try:
            return cls.model_validate(dict(options))
        except ValidationError as error:
            field, message = first_mistake(error)
            raise InvalidInput(f"connection {name!r}, field {field!r}: {message}") from None


def client(connection: AwsConnection, service: str, *, identity: str = "", seconds: float = 5) -> Any:
    """A new client over new connections, logged in as the reference ``identity`` ("" is the recovery identity).

    One attempt a call, at most 2 s to connect and ``seconds`` to answer: retries belong to the flow.
    """
    secret = _credential(identity or connection.credential)
    config = Config(
        connect_timeout=min(2, seconds),
        read_timeout=seconds,
        retries={"total_max_attempts": 1},
        max_pool_connections=connection.max_connections,
        user_agent=AGENT,  # botocore would put its own together anew for each call, which takes a tenth of it
    )
    with _BUILDING:
        return _FACTORY.client(
            service,
            region_name=connection.region,
            endpoint_url=connection.endpoint_url,
            aws_access_key_id=secret["access_key_id"],
            aws_secret_access_key=secret["secret_access_key"],
            aws_session_token=secret.get("session_token"),
            config=config,
        )


def outsider(connection: AwsConnection, service: str, *, identity: str, seconds: float = 5) -> Outsider:
    """A regional service as the reference ``identity`` sees it: every call opens a new connection and signs anew.

    The reference is read now.  AWS has no session to keep: each request carries its own signature.
    """
    return Outsider(_door(connection, service, seconds), _credential(identity or connection.credential))


def _door(connection: AwsConnection, service: str, seconds: float) -> Door:
    name = (connection, service, seconds)
    with _DOORS_LOCK:
        if name not in _DOORS:
            like = client(connection, service, seconds=seconds)
            _DOORS[name] = Door(like, seconds=seconds, ca_bundle=_CORE.get_config_variable("ca_bundle"))
            while len(_DOORS) > _KEPT_DOORS:
                _DOORS.pop(next(iter(_DOORS)))
        return _DOORS[name]


def has_session_token(identity: str) -> bool:
    """Is the credential behind this reference a temporary session rather than a long-lived access key?"""
    return bool(_credential(identity).get("session_token"))


def access_key_id(identity: str) -> str:
    """The access key id behind a reference; it is no secret."""
    return _credential(identity)["access_key_id"]


def request_id(response: Mapping[str, Any]) -> str:
    """The id under which AWS support finds this call; "" when there is none."""
    return str(response.get("ResponseMetadata", {}).get("RequestId", ""))


@contextmanager
def translated(subject: str) -> Iterator[None]:
    """Raise botocore's errors as ours, about ``subject``."""
    try:
        yield
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        raise translate(error, subject=subject) from error


def translate(error: Exception, *, subject: str) -> BackendError:
    """The error of ours that says what is true after this error of botocore's."""
    if not isinstance(error, ClientError):
        return _unanswered(error, subject)
    code = str(error.response.get("Error", {}).get("Code", ""))
    text = str(error.response.get("Error", {}).get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    message = f"AWS answered {code} for {subject} ({error.operation_name})."
    if code in REFUSALS:
        hint = REFUSALS[code]
        if "explicit deny" in text:
            hint = "A policy denies this explicitly."
        return Refused(message, subject=subject, code=code, hint=hint)
    if code in _INTEGRITY:
        hint = "The ciphertext, its context or its key is not the one it claims to be."
        return IntegrityFailure(message, subject=subject, code=code, hint=hint)
    if code in _THROTTLES:
        return Throttled(message, subject=subject, code=code, hint="Wait, then make the same call again.")
    if code in _MISSING:
        return NotFound(message, subject=subject, code=code, hint="Check the region and the id.")
    if code in _QUOTAS:
        return Unavailable(message, subject=subject, code=code, hint="A quota is used up; waiting does not help.")
    if status >= 500:
        return Unreachable(message, subject=subject, code=code, hint="AWS failed inside; the call may have worked.")
    return Unavailable(message, subject=subject, code=code, hint=text[:200])


def denies_explicitly(error: BackendError) -> bool:
    """Did a policy's explicit Deny refuse the call, rather than the absence of an Allow?"""
    return isinstance(error, Refused) and "explicitly" in error.hint


def _unanswered(error: Exception, subject: str) -> BackendError:
    name = type(error).__name__
    if isinstance(error, _NO_ANSWER):
        hint = "Nothing is known about the key; check the network and try again."
        return Unreachable(f"AWS was not reached for {subject} ({name}).", subject=subject, code=name, hint=hint)
    return Unavailable(f"the call for {subject} could not be made ({name}).", subject=subject, code=name)


def _credential(reference: str) -> dict[str, str]:
    try:
        secret = json.loads(read_secret(reference))
        return {
            "access_key_id": str(secret["access_key_id"]),
            "secret_access_key": str(secret["secret_access_key"]),
            **({"session_token": str(secret["session_token"])} if secret.get("session_token") else {}),
        }
    except (ValueError, KeyError, TypeError):
        raise InvalidInput(
            f"the AWS credential at {reference} is not usable",
            hint='It must be JSON: {"access_key_id": …, "secret_access_key": …[, "session_token": …]}.',
        ) from None


class Pace:
    """A token bucket: at most ``per_second`` calls a second over all threads; None never waits."""

    def __init__(self, per_second: float | None) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Return when the next call may be made."""
        if not self._interval:
            return
        with self._lock:
            now = time.monotonic()
            at = max(now, self._next)
            self._next = at + self._interval
        time.sleep(max(0.0, at - now))
