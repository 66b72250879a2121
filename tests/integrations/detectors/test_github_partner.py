"""Tokens that GitHub's partner programme sends are believed by their signature only, and hashed at once."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from findings_abuse import FUZZ, TOKEN, headers, mutations, never_accepts, now, only_expected, spoken
from github_server import Hub, github_server
from hypothesis import given
from hypothesis import strategies as st

from integrations.detectors.github_partner import GitHubPartner
from integrations.findings import token_sha256
from playbooks.errors import InvalidInput, Refused, Throttled, Unreachable

KEY_ID = "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c"
PRIVATE = ec.generate_private_key(ec.SECP256R1())
FOUND = [
    {
        "token": TOKEN,
        "type": "acme_vault_token",
        "url": "https://github.com/octo/Hello-World/blob/12345600b9cbe38a219f39a9941c9319b600c002/foo/bar.txt",
        "source": "content",
    }
]


def listed(identifier: str, private: Any) -> dict[str, Any]:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = private.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    return {"key_identifier": identifier, "key": pem, "is_current": True}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with github_server() as running:
        running.keys = [listed(KEY_ID, PRIVATE)]
        yield running


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> GitHubPartner:
    place = tmp_path_factory.mktemp("keys") / "keys.json"
    place.write_text(json.dumps({"public_keys": [listed(KEY_ID, PRIVATE)]}), encoding="utf-8")
    return GitHubPartner.open("partner", {"keys_file": str(place)}, clock=now)


def partner(hub: Hub, clock: Any = now) -> GitHubPartner:
    return GitHubPartner.open("partner", {"keys_url": f"{hub.url}/meta/public_keys/secret_scanning"}, clock=clock)


def signed(message: Any, *, private: Any = PRIVATE, identifier: str = KEY_ID, algorithm: Any = None) -> dict[str, Any]:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    signature = private.sign(body, ec.ECDSA(algorithm or hashes.SHA256()))
    own = {
        "github-public-key-identifier": identifier,
        "github-public-key-signature": base64.b64encode(signature).decode(),
    }
    return {"headers": own, "body": body}


def test_a_token_is_heard_and_hashed(hub: Hub) -> None:
    """Known by its hash wherever it was found; public, and the token itself goes nowhere."""
    second = {**FOUND[0], "url": "https://github.com/other/place", "source": "gist_content"}
    (signal,) = partner(hub).hear(**signed([*FOUND, second]))
    assert token_sha256(TOKEN) in signal.fingerprints
    assert signal.external_id == token_sha256(TOKEN).value
    assert signal.publicly_leaked
    assert TOKEN not in spoken([signal])


def test_the_keys_are_read_once(hub: Hub) -> None:
    """GitHub asks its partners to keep them."""
    detector = partner(hub)
    for _ in range(3):
        detector.hear(**signed(FOUND))
    assert len(hub.asked) == 1


def test_a_new_key_of_githubs_is_fetched_but_forgers_cannot_make_us_ask(hub: Hub) -> None:
    """An unknown id reads the list again, at most once a minute."""
    moment = [now()]
    detector = partner(hub, lambda: moment[0])
    detector.hear(**signed(FOUND))
    renewed = ec.generate_private_key(ec.SECP256R1())
    hub.keys.append(listed("new", renewed))
    for _ in range(20):
        with pytest.raises(Refused):
            detector.hear(**signed(FOUND, private=renewed, identifier="new"))
    assert len(hub.asked) == 1
    moment[0] += timedelta(seconds=61)
    assert detector.hear(**signed(FOUND, private=renewed, identifier="new"))


def test_a_key_that_github_withdrew_is_not_believed_for_long(hub: Hub) -> None:
    """After an hour the list is read again, and a key that is gone is gone."""
    moment: list[datetime] = [now()]
    detector = partner(hub, lambda: moment[0])
    detector.hear(**signed(FOUND))
    hub.keys = [listed("new", ec.generate_private_key(ec.SECP256R1()))]
    moment[0] += timedelta(minutes=61)
    with pytest.raises(Refused):
        detector.hear(**signed(FOUND))


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        (signed(FOUND), {"body": json.dumps(FOUND).encode() + b" "}),
        (signed(FOUND, private=ec.generate_private_key(ec.SECP256R1())), {}),
        (signed(FOUND, identifier="unknown"), {}),
        (signed(FOUND, identifier="x" * 10_000), {}),
        (signed(FOUND, algorithm=hashes.SHA1()), {}),  # noqa: S303 - it must be refused
        ({**signed(FOUND), "headers": {}}, {}),
        ({**signed(FOUND), "headers": {"github-public-key-identifier": KEY_ID}}, {}),
        ({**signed(FOUND), "headers": {**signed(FOUND)["headers"], "github-public-key-signature": "ü=="}}, {}),
        ({**signed(FOUND), "headers": {**signed(FOUND)["headers"], "github-public-key-signature": "A" * 9999}}, {}),
    ],
)
def test_what_github_did_not_sign_is_refused(hub: Hub, message: dict[str, Any], changes: dict[str, Any]) -> None:
    """Another body, key, id or digest; no headers; signatures that are none."""
    with pytest.raises(Refused):
        partner(hub).hear(**{**message, **changes})


def test_only_p256_keys_count(hub: Hub) -> None:
    """A list that somebody changed cannot bring in another curve."""
    other = ec.generate_private_key(ec.SECP384R1())
    hub.keys.append(listed("p384", other))
    with pytest.raises(Refused):
        partner(hub).hear(**signed(FOUND, private=other, identifier="p384"))


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"null", json.dumps(FOUND).encode()[:-3], b'[{"type": "x"}]', b'[{"token": "short"}]', b"[[]]",
     b" " * (1024 * 1024) + b"[]"],
)  # fmt: skip
def test_a_message_of_another_form_is_refused(offline: GitHubPartner, body: bytes) -> None:
    """Signed, but torn, empty of tokens, or huge."""
    with pytest.raises(InvalidInput):
        offline.hear(**signed(body))


def test_a_broken_entry_does_not_hide_the_others(offline: GitHubPartner) -> None:
    """The tokens that can be read are taken; an empty list is no finding."""
    assert len(offline.hear(**signed([{"token": None}, *FOUND, 7]))) == 1
    assert offline.hear(**signed([])) == []


@pytest.mark.parametrize(("status", "error"), [(500, Unreachable), (429, Throttled), (403, Refused)])
def test_keys_that_cannot_be_had_are_no_forgery(hub: Hub, status: int, error: type[Exception]) -> None:
    """Nothing is known of the message: it must come again, and it is not believed."""
    hub.failure = (status, {"retry-after": "5"} if status == 429 else {})
    with pytest.raises(error):
        partner(hub).hear(**signed(FOUND))
    hub.failure = None
    assert partner(hub).hear(**signed(FOUND))


def test_forgers_cannot_keep_everybody_waiting_for_keys_that_cannot_be_had(hub: Hub) -> None:
    """One attempt in five seconds, however many messages come; what is genuine counts as soon as the keys are back."""
    moment = [now()]
    detector = partner(hub, lambda: moment[0])
    hub.failure = (500, {})
    for number in range(20):
        with pytest.raises(Unreachable):
            detector.hear(**signed(FOUND, identifier=f"forged-{number}"))
    assert len(hub.asked) == 1
    hub.failure = None
    moment[0] += timedelta(seconds=5)
    assert detector.hear(**signed(FOUND))


def test_the_check_counts_the_keys(hub: Hub, tmp_path: Path) -> None:
    """Doctor sees whether the keys can be read, and what is wrong with the file."""
    assert partner(hub).check().startswith("1 public key")
    for content in (None, "{}", '{"public_keys": [{"key_identifier": "a", "key": "no"}]}'):
        place = tmp_path / "keys.json"
        if content is not None:
            place.write_text(content, encoding="utf-8")
        with pytest.raises(InvalidInput):
            GitHubPartner.open("partner", {"keys_file": str(place)}, clock=now).check()


def test_the_token_is_nowhere(offline: GitHubPartner, caplog: pytest.LogCaptureFixture) -> None:
    """Also not when the message repeats it."""
    told = {"type": TOKEN, "url": f"https://github.com/{TOKEN}", "source": TOKEN}
    with caplog.at_level(logging.DEBUG):
        signals = offline.hear(**signed([{**FOUND[0], **told}]))
        with pytest.raises(InvalidInput) as caught:
            offline.hear(**signed({"token": TOKEN}))
    assert TOKEN not in spoken(signals, caplog.text, caught.value, offline)


@pytest.mark.parametrize("options", [{"keys_url": "ftp://x"}, {"secret": "x"}])
def test_wrong_options_are_refused(options: dict[str, str]) -> None:
    """An address, no unknown field."""
    with pytest.raises(InvalidInput, match="detector 'partner', field"):
        GitHubPartner.open("partner", options, clock=now)


@FUZZ
@given(given_headers=headers, body=st.binary(max_size=200) | mutations(FOUND))
def test_no_forgery_is_accepted(offline: GitHubPartner, given_headers: dict[str, str], body: bytes) -> None:
    """Whatever comes unsigned is refused, also under GitHub's own key id."""
    never_accepts(offline.hear, {"github-public-key-identifier": KEY_ID, **given_headers}, body)


@FUZZ
@given(body=mutations(FOUND))
def test_a_strange_message_breaks_nothing(offline: GitHubPartner, body: bytes) -> None:
    """Signed, but of any form: signals or a refusal, and never the token."""
    assert TOKEN not in spoken(only_expected(lambda: offline.hear(**signed(body))))
