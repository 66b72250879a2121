"""What the PagerDuty adapters share: the account's options, clients with our own timeouts, and error translation.

Measured with pagerduty 7.2: its clients repeat a 429 without limit, 5xx up to six times and a broken connection three
times, asleep in between; here every call is one attempt.  The SDK takes https addresses only.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import httpx2
import pagerduty
from pydantic import BaseModel, ConfigDict, Field, field_validator

from integrations.options import Authorities
from integrations.secrets import read_secret
from playbooks.errors import BackendError, InvalidInput, NotFound, Refused, Throttled, Unavailable, Unreachable

HTTPS = r"^https://[^/\s?#@]+(/[^\s?#]*)?$"
ID = r"^[A-Za-z0-9]{4,40}$"
_TIMEOUT = httpx2.Timeout(5, connect=2)


def check_references(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """A pydantic validator: secrets stand in the settings by reference only; "" is none."""
    given = (value,) if isinstance(value, str) else value
    if any(each and not each.startswith(("file:", "env:")) for each in given):
        raise ValueError("must be a reference (file:PATH or env:NAME), never the secret itself")
    return value


class PagerDutyAccount(BaseModel):
    """Options of every PagerDuty connection.

    ``api_token`` needs a REST key with write access (scopes ``incidents.write``, ``users.read``, ``oncalls.read``,
    ``incident_workflows:instances.write``); ``from_email`` is the user in whose name it writes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    routing_key: str = Field(description="Reference to the integration key of an Events API v2 integration.")
    api_token: str = Field(default="", description="Reference to a REST API key; without it only events are sent.")
    from_email: str = Field(default="", pattern=r"^([^\s@]+@[^\s@]+)?$")
    webhook_secrets: tuple[str, ...] = Field(default=(), description="References; several while one is replaced.")
    events_url: str = Field(default="https://events.pagerduty.com", pattern=HTTPS)
    api_url: str = Field(default="https://api.pagerduty.com", pattern=HTTPS)
    verify: Authorities = Field(default=None, description="A bundle of CA certificates; None: the system's.")

    _by_reference = field_validator("routing_key", "api_token", "webhook_secrets")(check_references)


def check_secrets(place: str, references: Mapping[str, str]) -> None:
    """Can each reference be read and does it hold something?  InvalidInput names the place and the field."""
    for field, reference in references.items():
        try:
            empty = not read_secret(reference)
        except InvalidInput as error:
            raise InvalidInput(f"{place}: {field}: {error.message}", hint=error.hint) from error
        if empty:
            raise InvalidInput(f"{place}: {field}: the secret is empty")


class PagerDutyClients:
    """The two clients of an account, made on first use and again when their secret was replaced; thread-safe."""

    def __init__(self, account: PagerDutyAccount) -> None:
        self._account = account
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"PagerDutyClients({self._account.api_url!r})"

    @property
    def has_rest(self) -> bool:
        """Is there a REST key and a user in whose name to write?"""
        return bool(self._account.api_token and self._account.from_email)

    def events(self) -> Any:
        """The client of the Events API v2."""
        account = self._account
        return self._client(pagerduty.EventsApiV2Client, account.routing_key, account.events_url)

    def rest(self) -> Any:
        """The client of the REST API v2; Unavailable when it is not configured."""
        if not self.has_rest:
            hint = "Give api_token and from_email."
            raise Unavailable("the PagerDuty REST API is not configured.", subject=self._account.api_url, hint=hint)
        return self._client(pagerduty.RestApiV2Client, self._account.api_token, self._account.api_url)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _client(self, kind: Any, reference: str, url: str) -> Any:
        secret = read_secret(reference)
        with self._lock:
            client = self._clients.get(reference)
            if client is None or client.auth_method.secret != secret:
                client = self._clients[reference] = self._open(kind, secret, url)
            return client

    def _open(self, kind: Any, secret: str, url: str) -> Any:
        verify = ssl.create_default_context(cafile=self._account.verify) if self._account.verify else True
        client = kind(secret, base_url=url.rstrip("/"), verify=verify)
        client.timeout = _TIMEOUT
        client.max_network_attempts = 0
        client.max_http_attempts = -1  # "more than -1 attempts were made": the first answer counts
        client.retry = {429: 1}
        if kind is pagerduty.RestApiV2Client:
            client.headers["From"] = self._account.from_email
        return client


@contextmanager
def translated(subject: str) -> Iterator[None]:
    """Raise the SDK's errors as ours, about ``subject``."""
    try:
        yield
    except pagerduty.HttpError as error:
        # The SDK quotes the end of the key in its message, so the chain is cut here.
        raise _answered(cast("httpx2.Response", error.response), subject) from None
    except (pagerduty.Error, httpx2.HTTPError) as error:
        name = type(error.__cause__ or error).__name__
        hint = "The page may have gone out; the same call can be made again without ringing twice."
        raise Unreachable(
            f"PagerDuty was not reached for {subject} ({name}).", subject=subject, code=name, hint=hint
        ) from error
    except (pagerduty.UrlError, httpx2.InvalidURL) as error:
        raise InvalidInput(f"the address of PagerDuty for {subject} is not usable.") from error


def _answered(response: httpx2.Response, subject: str) -> BackendError:
    """The error of ours for an answer that is no success."""
    status = response.status_code
    code, said = _reason(response)
    message = f"PagerDuty answered {code} for {subject}."
    if status == 429:
        wait = _wait(response)
        hint = f"Try again after {wait} s." if wait else "Try again in a minute."
        return Throttled(message, subject=subject, code=code, hint=hint)
    if status in (401, 403):
        return Refused(message, subject=subject, code=code, hint="Check api_token, its rights and from_email.")
    if status == 400 and "routing key" in said.lower():
        return Refused(message, subject=subject, code=code, hint="Check routing_key: PagerDuty does not know it.")
    if status == 404:
        return NotFound(message, subject=subject, code=code, hint="Check the ids and the service region.")
    if status >= 500 or status in (200, 201, 202, 408):
        hint = "PagerDuty failed inside; the call may have worked, and can be made again."
        return Unreachable(message, subject=subject, code=code, hint=hint)
    return Unavailable(message, subject=subject, code=code, hint=said)


def _reason(response: httpx2.Response) -> tuple[str, str]:
    """PagerDuty's own code ("400", or "400/2001") and what it says, for a person, short and printable."""
    try:
        body = response.json()
    except ValueError:
        return str(response.status_code), ""
    fault = body.get("error", body) if isinstance(body, dict) else {}
    fault = fault if isinstance(fault, dict) else {}
    errors = fault.get("errors")
    said = "; ".join(map(str, errors)) if isinstance(errors, list) else str(fault.get("message", ""))
    code = (
        f"{response.status_code}/{fault['code']}" if isinstance(fault.get("code"), int) else str(response.status_code)
    )
    return code, "".join(each for each in said if each.isprintable())[:200]


def _wait(response: httpx2.Response) -> str:
    """Seconds to wait as the server says them; "" when it does not."""
    said = response.headers.get("retry-after") or response.headers.get("ratelimit-reset") or ""
    return said if said.isascii() and said.isdigit() and len(said) <= 5 else ""
