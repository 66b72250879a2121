"""What the tests of all detectors share: strange documents, signatures, and a search for secrets in what was said."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from playbooks.errors import InvalidInput, Refused
from playbooks.exposures import Signal

ACCESS_KEY, SECRET_KEY = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "hvs.CAESIJ4v3rYs3cr3tT0k3nF0rT3sts0nly"
PASSWORD = "Tr0ub4dor&3-canary"
HOOK_SECRET = "a secret of the webhook that is long enough"

FUZZ = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.just("9" * 400)
    | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
headers = st.dictionaries(
    st.sampled_from([
        "x-hub-signature-256", "x-github-event", "github-public-key-identifier", "github-public-key-signature",
        "x-signature-256", "authorization", "x-webhook-secret", "x-timestamp", "content-type",
    ]),
    st.text(max_size=80) | st.just("sha256=" + "0" * 64) | st.just("Bearer "),
    max_size=6,
)  # fmt: skip


def now() -> datetime:
    """The clock of the tests."""
    return datetime.now(UTC)


def hexdigest(body: bytes, secret: str = HOOK_SECRET) -> str:
    """HMAC-SHA256 in hexadecimal."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@st.composite
def mutations(draw: st.DrawFn, payload: Any) -> bytes:
    """The payload with a few values replaced by anything or taken out, as JSON; sometimes cut short."""
    document = copy.deepcopy(payload)
    for _ in range(draw(st.integers(0, 3))):
        document = _changed(document, draw)
    text = json.dumps(document).encode()
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 9)) == 0 else text


def _changed(node: Any, draw: st.DrawFn) -> Any:
    places = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    if not places or draw(st.integers(0, 5)) == 0:
        return draw(values)
    place = draw(st.sampled_from(list(places)))
    if draw(st.integers(0, 5)) == 0:
        del node[place]
    else:
        node[place] = _changed(node[place], draw)
    return node


def only_expected(call: Callable[[], Sequence[Signal]]) -> Sequence[Signal]:
    """The signals of a call that may refuse, but never breaks; none when it refused."""
    try:
        return call()
    except (Refused, InvalidInput):
        return ()


def never_accepts(hear: Callable[..., Sequence[Signal]], given: Mapping[str, str], body: bytes) -> None:
    """What nobody signed is refused, whatever it looks like."""
    with pytest.raises((Refused, InvalidInput)):
        hear(headers=given, body=body)


def spoken(signals: Iterable[Signal], *more: object) -> str:
    """Everything that leaves the detector, in one text."""
    return "\n".join([*(signal.model_dump_json() for signal in signals), *map(str, more)])


def private_pem() -> str:
    """A new private key."""
    form, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private = ec.generate_private_key(ec.SECP256R1())
    return private.private_bytes(serialization.Encoding.PEM, form, bare).decode()
