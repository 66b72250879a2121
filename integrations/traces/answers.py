"""The way to a receiver of traces, and what its answers mean.

The SDK's exporter (1.45) takes a redirect and a partial success for a success, sleeps between retries of its own, and
adds what ``OTEL_EXPORTER_OTLP_*`` variables say, which may be the token of another receiver.  So it is given this
session, by which the settings alone decide and the first answer counts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
from google.protobuf import json_format  # type: ignore[import-untyped]  # the package has no types
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # the package has no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from integrations.receiver_options import CONNECT_SECONDS, SECONDS
from playbooks.errors import BackendError, Refused, Throttled, Unreachable
from playbooks.ports import Clock

_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_COME_BACK = (429, 502, 503, 504)
"""What the specification calls retryable."""
_SERVER_ERROR = 500
_SUCCESS = range(200, 300)
_PIECE_OCTETS = 16
_MOST_OCTETS = 64 * 1024
"""Of an answer: one that is longer is none of OTLP, and must not fill the memory that a response needs."""


class Door(requests.Session):
    """Sends to one address.  ``trouble`` is why the last request did not arrive, ``rejected`` how many of its spans the
    receiver will never take.

    ``ca_file`` as in the options; proxies are taken from the environment, credentials of ``.netrc`` are not.
    """

    def __init__(self, endpoint: str, *, ca_file: Path | None, clock: Clock) -> None:
        super().__init__()
        self.auth = _as_it_is
        self.trouble: BackendError | None = None
        self.rejected = 0
        self._endpoint = endpoint
        self._verify = str(ca_file) if ca_file else True
        self._clock = clock
        self._own_headers: Mapping[str, str] = {}

    def expect(self, headers: Mapping[str, str]) -> None:
        """Before each request: its own headers; what is known of the last one is forgotten."""
        self.trouble, self.rejected = None, 0
        self._own_headers = {
            **headers,
            "content-type": _PROTOBUF,
            "accept": _PROTOBUF,
            "user-agent": f"keyquell/{version('keyquell')}",
        }

    def request(self, method: Any, url: Any, *_: Any, data: Any = None, **__: Any) -> requests.Response:
        """Send, of all that the exporter gives, the data; raises the trouble, which ends the exporter's own tries."""
        try:
            answer = super().request(
                method,
                self._endpoint,
                data=data,
                headers=dict(self._own_headers),
                timeout=(CONNECT_SECONDS, SECONDS),
                allow_redirects=False,
                verify=self._verify,
                stream=True,
            )
            with answer:
                self.rejected = self._judge(answer)
        except OSError as error:  # requests raises its own, and a plain one for a file that is gone
            self.trouble = self._away(error)
            raise self.trouble from error
        except BackendError as error:
            self.trouble = error
            raise
        return answer

    def _judge(self, answer: requests.Response) -> int:
        code = str(answer.status_code)
        if answer.status_code in _SUCCESS:
            return self._rejected(answer)
        if answer.status_code in _COME_BACK:
            seconds = self._asked_seconds(answer)
            if seconds is not None or answer.status_code == requests.codes.too_many_requests:
                after = f" for {seconds} seconds" if seconds is not None else ""
                raise Throttled(f"the receiver of traces asks to wait{after}.", subject=self._endpoint, code=code)
        if answer.status_code >= _SERVER_ERROR:
            message = f"the receiver of traces answers {code}."
            raise Unreachable(message, subject=self._endpoint, code=code, hint="It is tried again.")
        hint = "Check traces.endpoint, with its path, and traces.headers; the traces behind wait."
        raise Refused(f"the receiver of traces refuses with {code}.", subject=self._endpoint, code=code, hint=hint)

    def _rejected(self, answer: requests.Response) -> int:
        """Of a partial success.  What is no answer of OTLP (a page to sign in, say) took nothing."""
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        read = ExportTraceServiceResponse()
        try:
            body = _body(answer)
            if body and kind == _JSON:
                json_format.Parse(body, read, ignore_unknown_fields=True)
            elif body:
                read.ParseFromString(body)
        except (DecodeError, json_format.ParseError, UnicodeDecodeError) as error:
            hint = "Check traces.endpoint: something else answers there."
            message = "what answers is no receiver of traces."
            raise Refused(message, subject=self._endpoint, code=str(answer.status_code), hint=hint) from error
        return max(0, int(read.partial_success.rejected_spans))

    def _asked_seconds(self, answer: requests.Response) -> int | None:
        """Of ``Retry-After`` (RFC 9110, 10.2.3), in seconds or as a date; None when it says nothing."""
        asked = answer.headers.get("retry-after", "").strip()
        if asked.isdecimal():
            return int(asked)
        try:
            until = parsedate_to_datetime(asked)
        except ValueError:
            return None
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0, round((until - self._clock()).total_seconds()))

    def _away(self, error: OSError) -> BackendError:
        name = type(error).__name__
        if isinstance(error, requests.exceptions.SSLError):
            hint = "Name its authority in traces.ca_file."
            return Unreachable("nobody vouches for the receiver of traces.", subject=self._endpoint, hint=hint)
        message = f"the receiver of traces does not answer ({name})."
        return Unreachable(message, subject=self._endpoint, code=name, hint="It is tried again.")


def _body(answer: requests.Response) -> bytes:
    """What was answered, unpacked.  DecodeError when it is too long, requests' Timeout when it takes too long."""
    body = bytearray()
    until = time.monotonic() + SECONDS
    for part in answer.iter_content(_PIECE_OCTETS):
        body += part
        if len(body) > _MOST_OCTETS:
            raise DecodeError
        if time.monotonic() > until:
            raise requests.Timeout
    return bytes(body)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authentication that adds nothing, so that requests looks for none in ``.netrc``."""
    return request
