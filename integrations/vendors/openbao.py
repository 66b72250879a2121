"""OpenBao: the session that its adapters share, its options, and what its answers mean.

OpenBao has no error codes.  A refusal is recognised by HTTP status *and* text; the text that decided is the ``code``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, field_validator

from integrations.options import read_options
from integrations.secrets import read_secret
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
from playbooks.keys import KeyState
from playbooks.refs import Ref

CONNECT_SECONDS = 2.0
READ_SECONDS = 5.0

SOFT_DELETED = "refusing to use soft-deleted key"
PERMISSION_DENIED = "permission denied"

_MEANINGS: tuple[tuple[str, type[BackendError]], ...] = (
    (SOFT_DELETED, Refused),  # 400 on use, 500 on rotate (2.7)
    (PERMISSION_DENIED, Refused),
    ("ciphertext or signature version is disallowed by policy", Refused),
    ("requested version for encryption is less than the minimum", Refused),
    ("encryption key not found", NotFound),
    ("signing key not found", NotFound),
    ("no existing key named", NotFound),
    ("could not delete key; not found", NotFound),
    ("no handler for route", NotFound),
    ("invalid accessor", NotFound),
    ("message authentication failed", IntegrityFailure),
    ("invalid ciphertext", IntegrityFailure),
    ("illegal base64", IntegrityFailure),
    ("private key material is not exportable", Unavailable),
    ("not supported for key type", Unavailable),
    ("unsupported operation", Unavailable),
    ("batch tokens cannot be", Unavailable),
    ("is sealed", Unreachable),
)

_HINTS: dict[type[BackendError], str] = {
    Unreachable: "Nothing is known about the key: try again, or look at the server.",
    Throttled: "Try again later.",
    NotFound: "Check the mount and the name.",
}


class OpenBaoConnection(BaseModel):
    """Options of a connection of type ``openbao``; ``token`` is a reference, never the token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["openbao"] = "openbao"
    url: str = Field(description="For example https://bao.example:8200, without /v1.")
    token: str = Field(repr=False, description="Reference to the recovery identity's token: file:PATH or env:NAME.")
    namespace: str = ""
    pki_role: str = Field(default="", description="Role that signs new certificates; empty: the mount's only role.")
    ca_file: str = Field(default="", description="PEM bundle that signs the server's certificate; empty: the system's.")

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("token")
    @classmethod
    def _reference(cls, value: str) -> str:
        if not value.startswith(("file:", "env:")):
            raise ValueError("must be a reference (file:PATH or env:NAME), not the token itself")
        return value

    @classmethod
    def read(cls, name: str, options: Mapping[str, Any]) -> Self:
        """Validate the options of the connection ``name``; InvalidInput names it and the field, not the value."""
        return read_options(cls, f"connection {name}", options)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said: its data (may hold key material, hence no repr), warnings and request id."""

    data: dict[str, Any] = field(default_factory=dict, repr=False)
    auth: dict[str, Any] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()
    request_id: str = ""


class OpenBaoSession:
    """One HTTP client of one identity; one attempt a call, own timeouts, errors translated."""

    def __init__(self, name: str, connection: OpenBaoConnection, *, identity: str | None = "") -> None:
        """Open as ``identity`` (a secret reference), as the connection's own token when empty, as nobody when None."""
        self.name = name
        self.connection = connection
        headers = {"X-Vault-Request": "true"}
        if identity is not None:
            headers["X-Vault-Token"] = read_secret(identity or connection.token)
        if connection.namespace:
            headers["X-Vault-Namespace"] = connection.namespace
        self._client = httpx.Client(
            base_url=f"{connection.url}/v1/",
            headers=headers,
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            verify=connection.ca_file or True,
            trust_env=False,
            follow_redirects=False,  # a redirect would carry the token to another host
        )

    def __repr__(self) -> str:
        return f"OpenBaoSession({self.name!r}, {self.connection.url!r})"

    def call(self, method: str, path: str, *, subject: object = "", body: Mapping[str, Any] | None = None) -> Answer:
        """Make one request below ``/v1/``.

        A 400 that answers a batch item by item is an Answer: its items carry their own errors.  Raises the errors of
        ``playbooks.errors``; messages hold neither the request's body nor the answer's.
        """
        response = self.send(method, path, subject=subject, body=body)
        try:
            payload = response.json() if response.content else {}
        except ValueError as error:
            raise BackendError(
                f"OpenBao answered {response.status_code} without JSON", subject=str(subject), code="not-json"
            ) from error
        data = payload.get("data") or {}
        if response.is_success or "batch_results" in data:
            return Answer(
                data, payload.get("auth") or {}, tuple(payload.get("warnings") or ()), payload.get("request_id", "")
            )
        text = "; ".join(str(item).strip() for item in payload.get("errors") or ())
        raise meaning(text, status=response.status_code, subject=str(subject))

    def send(self, method: str, path: str, *, subject: object, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """Make one request and return the raw response; raises Unreachable when there is none."""
        try:
            return self._client.request(method, path, json=None if body is None else dict(body))
        except httpx.TimeoutException as error:
            raise self._unreachable("timeout", subject) from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._unreachable(type(error).__name__, subject) from error

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()

    def __enter__(self) -> OpenBaoSession:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _unreachable(self, code: str, subject: object) -> Unreachable:
        return Unreachable(
            f"OpenBao {self.name} at {self.connection.url} did not answer ({code}).",
            subject=str(subject),
            code=code,
            hint=_HINTS[Unreachable],
        )


def meaning(text: str, *, status: int = 0, subject: str = "") -> BackendError:
    """What an error text of OpenBao says, as one of our errors (returned, not raised).

    ``status`` 0 is an item of a batch.  A sealed server is Unreachable: it says nothing about the key.
    """
    lowered = text.lower()
    for code, kind in _MEANINGS:
        if code in lowered:
            return kind(_said(text, subject), subject=subject, code=code, hint=_HINTS.get(kind, ""))
    by_status: dict[int, type[BackendError]] = {404: NotFound, 429: Throttled}
    kind = by_status.get(status, Unreachable if status in {502, 503, 504} else BackendError)
    return kind(_said(text, subject), subject=subject, code=str(status or "item"), hint=_HINTS.get(kind, ""))


def _said(text: str, subject: str) -> str:
    about = f" about {subject}" if subject else ""
    return f"OpenBao said{about}: {' '.join(text.split())[:200] or 'nothing'}."


def check_connection(ref: Ref, name: str) -> None:
    """Raise InvalidInput when a reference belongs to another connection."""
    if ref.connection != name:
        raise InvalidInput(f"{ref} belongs to the connection {ref.connection}, not to {name}")


def mount_and_name(ref: Ref) -> tuple[str, str]:
    """Split ``MOUNT/NAME``: the mount may hold slashes, the name may not."""
    mount, slash, name = ref.path.rpartition("/")
    if not slash or not mount or not name:
        raise InvalidInput(f"{ref} must name a mount and what is in it", hint="Write SCHEME:CONNECTION/MOUNT/NAME.")
    return mount, name


def transit_state(config: Mapping[str, Any]) -> KeyState:
    """The life-cycle state that a transit key's configuration shows."""
    return KeyState.SUSPENDED if config.get("soft_deleted") else KeyState.ACTIVE
