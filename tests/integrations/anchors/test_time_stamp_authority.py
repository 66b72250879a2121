"""Time-stamps of a real authority (``openssl ts``): what they prove, and what is refused."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.time_stamp_authority import TimeStamps
from sealed_checkpoint import CONTENT, checkpoint

from integrations.anchors.time_stamp import check_token
from integrations.registry import open_adapter
from playbooks.errors import BackendError, InvalidInput, RecordError, Refused, Throttled, Unreachable


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimeStamps]:
    with TimeStamps(tmp_path_factory.mktemp("tsa")) as authority:
        yield authority


@pytest.fixture
def authority(running: TimeStamps) -> TimeStamps:
    """The authority without faults."""
    running.status, running.replayed = 200, False
    return running


def opened(url: str) -> Any:
    return open_adapter("anchors", "rfc3161", name="tsa", options={"url": url}, clock=lambda: datetime.now(UTC))


def test_a_stamp_leads_to_the_root_and_names_the_checkpoint(authority: TimeStamps) -> None:
    """The time is the authority's; it was told a hash and none of the text."""
    laid = opened(authority.url).anchor(checkpoint())
    assert laid.reference == authority.url
    at, who = check_token(laid.proof, CONTENT, roots=[authority.root.read_bytes()])
    assert abs(at - datetime.now(UTC)) < timedelta(seconds=10)
    assert "serial number" in who
    assert b"keyquell" not in authority.asked[-1]


def test_a_stamp_over_another_text_or_under_another_root_proves_nothing(authority: TimeStamps, tmp_path: Path) -> None:
    """Neither can be passed off."""
    laid = opened(authority.url).anchor(checkpoint())
    with pytest.raises(RecordError, match="over something else"):
        check_token(laid.proof, CONTENT + b" ")
    with TimeStamps(tmp_path) as other, pytest.raises(RecordError, match="does not verify"):
        check_token(laid.proof, CONTENT, roots=[other.root.read_bytes()])


def test_no_altered_bit_of_a_stamp_gives_another_time(authority: TimeStamps) -> None:
    """What no signature covers (RFC 5652: versions, names of algorithms) changes nothing that is said."""
    proof = opened(authority.url).anchor(checkpoint()).proof
    roots = [authority.root.read_bytes()]
    said, refused = check_token(proof, CONTENT, roots=roots), 0
    for place in range(len(proof)):
        altered = bytearray(proof)
        altered[place] ^= 1 << (place % 8)
        try:
            assert check_token(bytes(altered), CONTENT, roots=roots) == said
        except RecordError:
            refused += 1
    assert refused > len(proof) * 0.95


def test_the_answer_to_another_request_is_refused(authority: TimeStamps) -> None:
    """By its nonce, even over the same checkpoint."""
    anchor = opened(authority.url)
    anchor.anchor(checkpoint())
    authority.replayed = True
    with pytest.raises(Refused, match="another request"):
        anchor.anchor(checkpoint())


def test_an_authority_that_stamps_no_such_hash_is_refused(tmp_path: Path) -> None:
    """Its answer says rejected, and holds no token."""
    with TimeStamps(tmp_path, digests="sha512") as other, pytest.raises(Refused, match="no time-stamp"):
        opened(other.url).anchor(checkpoint())


@pytest.mark.parametrize(("status", "error"), [(429, Throttled), (500, Refused), (302, Refused)])
def test_other_answers_are_said_for_what_they_are(
    authority: TimeStamps, status: int, error: type[BackendError]
) -> None:
    """429 asks to come back; a redirect is not followed."""
    authority.status = status
    with pytest.raises(error):
        opened(authority.url).anchor(checkpoint())


def test_nobody_there_is_unreachable() -> None:
    """It says nothing about the checkpoint."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unreachable):
        opened(f"http://127.0.0.1:{port}/").anchor(checkpoint())


@pytest.mark.parametrize("url", ["ftp://x", "http://me:word@x/", "https://x/?key=word", ""])
def test_an_address_with_a_secret_in_it_is_no_address(url: str) -> None:
    """It would stand in the record; the message does not repeat it."""
    with pytest.raises(InvalidInput, match=r"anchors\.tsa: url") as caught:
        opened(url)
    assert "word" not in str(caught.value)


def test_an_exercise_is_stamped_too(authority: TimeStamps) -> None:
    """The authority learns nothing of it: the record says that it is one."""
    laid = opened(authority.url).anchor(replace(checkpoint(), exercise=True))
    assert check_token(laid.proof, CONTENT)
