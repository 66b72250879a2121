"""Traces by OTLP over HTTP in protobuf (OpenTelemetry Protocol 1.x, "OTLP/HTTP"), with the SDK's exporter."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult
from pydantic import Field, field_validator

from integrations.options import Authorities, read_options
from integrations.receiver_options import ReceiverOptions
from integrations.secrets import read_secret
from integrations.traces.answers import Door
from integrations.traces.readable import Reader
from playbooks.errors import BackendError, InvalidInput, Refused
from playbooks.ports import Clock
from playbooks.spans import Span

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNUSABLE = ("400", "413")
"""The receiver understood that it was sent a trace, and will never take it: the specification forbids another try."""

# The exporter says there what is raised here.
logging.getLogger(OTLPSpanExporter.__module__).setLevel(logging.CRITICAL + 1)


class TracesOptions(ReceiverOptions):
    """``endpoint`` is the whole address.  ``ca_file`` holds the authorities that are believed; default: certifi's.

    The secret behind ``headers`` is written as in ``OTEL_EXPORTER_OTLP_HEADERS``: ``name=value,name=value``, with
    values percent-encoded where they must be.
    """

    endpoint: str = Field(description="With its path, as https://collector.example.com:4318/v1/traces.")
    headers: str | None = Field(default=None, pattern="^(env|file):", description="Reference to headers, for a token.")
    service_name: str = Field(default="keyquell", min_length=1)
    ca_file: Authorities = None

    @field_validator("endpoint")
    @classmethod
    def _safe(cls, value: str) -> str:
        if not _is_safe(value):
            raise ValueError("must be https://HOST/PATH (http to this host alone), without user, query or fragment")
        return value


class Otlp:
    """Sends spans, a request at a time; not safe for threads."""

    def __init__(self, options: TracesOptions, *, clock: Clock) -> None:
        self._options = options
        self._reader = Reader(service_name=options.service_name, version=version("keyquell"))
        self._door = Door(options.endpoint, ca_file=options.ca_file, clock=clock)
        self._exporter = OTLPSpanExporter(
            endpoint=options.endpoint, compression=Compression.NoCompression, session=self._door
        )
        self._door.cert = None  # the exporter has set that of an OTEL_* variable

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Options: ``endpoint``, ``headers``, ``service_name``, ``ca_file``.  Raises InvalidInput naming the wrong
        field; nothing is called yet, and no secret is read."""
        return cls(read_options(TracesOptions, "traces", options), clock=clock)

    def send(self, spans: Sequence[Span]) -> int:
        """How many of them the receiver says that it will never take; the others have arrived.

        Raises Throttled, Unreachable or Refused when none has, and InvalidInput when the secret is no headers.
        """
        try:
            return self._export(spans)
        except Refused as error:
            if error.code in _UNUSABLE:
                return len(spans)
            raise

    def check(self) -> str:
        """Send a request without spans, which a receiver must take and keeps nothing of.  Raises like ``send``."""
        self._export(())
        return f"{self._options.endpoint} takes traces"

    def close(self) -> None:
        """End the connections."""
        self._door.close()

    def _export(self, spans: Sequence[Span]) -> int:
        self._door.expect(self._headers())
        result = self._exporter.export([self._reader.readable(each) for each in spans])
        if self._door.trouble is not None:
            raise self._door.trouble
        if result is not SpanExportResult.SUCCESS:
            raise BackendError("the spans cannot be written as OTLP.", subject=self._options.endpoint)
        return self._door.rejected

    def _headers(self) -> dict[str, str]:
        """The headers of the secret, read afresh each time.  Raises InvalidInput without the text."""
        if self._options.headers is None:
            return {}
        found: dict[str, str] = {}
        for pair in read_secret(self._options.headers).split(","):
            name, equals, value = (each.strip() for each in pair.partition("="))
            value = unquote(value)
            if not equals or not _NAME.fullmatch(name) or not value.isascii() or not value.isprintable():
                raise InvalidInput(
                    "traces: headers: the secret is not of the form name=value,name=value.",
                    hint="Percent-encode commas in a value (%2C).",
                )
            found[name.lower()] = value
        return found


def _is_safe(address: str) -> bool:
    """May spans and a token go there, and is it the whole address?"""
    try:
        parts = urlsplit(address)
        is_whole = bool(parts.hostname) and parts.port != 0 and len(parts.path) > 1
    except ValueError:
        return False
    is_near = parts.scheme == "http" and parts.hostname in _LOOPBACK
    return is_whole and (parts.scheme == "https" or is_near) and not re.search(r"[\s?#@]", address)
