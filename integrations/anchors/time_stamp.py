"""Time-stamps of an authority (RFC 3161): the checkpoint existed then, as somebody else says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx
from cryptography import x509
from pydantic import Field
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from integrations.options import read_options
from integrations.receiver_options import CONNECT_SECONDS, SECONDS, ReceiverOptions
from playbooks.errors import RecordError, Refused, Throttled, Unreachable
from playbooks.evidence.anchors import Anchored, Sealed
from playbooks.evidence.contents import TIME_STAMP
from playbooks.ports import Clock

_SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")
_LARGEST_ANSWER = 256 * 1024
_TIMEOUT = httpx.Timeout(SECONDS, connect=CONNECT_SECONDS)


class TimeStampOptions(ReceiverOptions):
    """A time-stamp needs no login; it is plain HTTP at most authorities, because the token is signed."""

    url: str = Field(pattern=r"^https?://[^\s@?#]+$", description="Where to; no user, password or query in it.")


class TimeStampAuthority:
    """An authority reached by HTTP (RFC 3161, 3.4); it is told a SHA-256 and nothing else.

    Options: ``url``.  Stamped again after a crash, a checkpoint has two tokens, which harms nobody.
    """

    place = TIME_STAMP

    def __init__(self, name: str, url: str) -> None:
        self.name, self._url = name, url
        self._http = httpx.Client(timeout=_TIMEOUT, follow_redirects=False)

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> TimeStampAuthority:
        """Open with the options above; nothing is sent yet.  Raises InvalidInput naming the field."""
        del clock  # the time that counts is the authority's
        return cls(name, read_options(TimeStampOptions, f"anchors.{name}", options).url)

    def anchor(self, checkpoint: Sealed) -> Anchored:
        """Have the checkpoint stamped: the authority's URL, and the token as the proof.

        Raises Unreachable, Throttled, or Refused when the authority stamps nothing or something else.
        """
        request = TimestampRequestBuilder().data(checkpoint.content).hash_algorithm(HashAlgorithm.SHA256).cert_request(
            cert_request=True
        ).nonce(nonce=True).build()  # fmt: skip
        answer = self._ask(request.as_bytes())
        try:
            response = decode_timestamp_response(answer)
            granted = response.status == 0 and response.tst_info.nonce == request.nonce
            check_token(answer, checkpoint.content)
        except (ValueError, RecordError) as error:
            raise Refused(f"{self._url} answered with no time-stamp over the checkpoint.", subject=self.name) from error
        if not granted:
            raise Refused(f"{self._url} stamped another request than this one.", subject=self.name)
        return Anchored(self._url, answer)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _ask(self, request: bytes) -> bytes:
        headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
        try:
            answer = self._http.post(self._url, content=request, headers=headers)
        except httpx.HTTPError as error:
            raise Unreachable(
                f"the time-stamp authority did not answer ({type(error).__name__}).", subject=self.name
            ) from error
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            later = answer.headers.get("retry-after", "not said when")
            raise Throttled(f"the time-stamp authority asks to come back later ({later}).", subject=self.name)
        if answer.status_code != httpx.codes.OK or len(answer.content) > _LARGEST_ANSWER:
            code = str(answer.status_code)
            raise Refused(f"the time-stamp authority answered HTTP {code}.", subject=self.name, code=code)
        return answer.content


def check_token(token: bytes, message: bytes, *, roots: Sequence[bytes] = ()) -> tuple[datetime, str]:
    """When an answer of an authority says that the message existed, and the authority's serial number of it.

    With ``roots`` (PEM) the signature and the certificate are verified, as of that time; without, only that the token
    names this message.  Raises RecordError saying what does not hold.
    """
    try:
        response = decode_timestamp_response(token)
        info = response.tst_info
        imprint = info.message_imprint
        if imprint.hash_algorithm != _SHA256 or imprint.message != hashlib.sha256(message).digest():
            raise RecordError("the time-stamp is over something else.")
        if response.as_bytes() != token:
            raise RecordError("the time-stamp is not in its one form.")
        if roots:
            _verify(response, message, roots)
        return info.gen_time, f"the time-stamp authority (serial number {info.serial_number:x})"
    except (ValueError, VerificationError) as error:
        raise RecordError(f"the time-stamp does not verify ({str(error)[:120]}).") from error


def _verify(response: TimeStampResponse, message: bytes, roots: Sequence[bytes]) -> None:
    builder = VerifierBuilder()
    for each in dict.fromkeys(cert for pem in roots for cert in x509.load_pem_x509_certificates(pem)):
        builder = builder.add_root_certificate(each)
    builder.build().verify_message(response, message)
