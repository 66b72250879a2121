"""Our spans as those of the OpenTelemetry SDK.

Nothing is taken from the environment (``OTEL_RESOURCE_ATTRIBUTES`` and the like), and no provider is registered: other
libraries of this process that know OpenTelemetry, as Prefect 3.8 does, notice nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.service_attributes import SERVICE_NAME, SERVICE_VERSION
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from playbooks.spans import Moment, Span, Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCHEMA = Schemas.V1_36_0.value
_ENVIRONMENT = "deployment.environment.name"


class Reader:
    """Makes the SDK's spans: ``service_name`` and ``version`` say who tells them."""

    def __init__(self, *, service_name: str, version: str) -> None:
        service: dict[str, str] = {SERVICE_NAME: service_name, SERVICE_VERSION: version}
        self._scope = InstrumentationScope("keyquell", version, _SCHEMA)
        self._real = Resource(service, _SCHEMA)
        self._exercise = Resource({**service, _ENVIRONMENT: "test"}, _SCHEMA)

    def readable(self, span: Span) -> ReadableSpan:
        """The same span, for the SDK's exporters."""
        kind = {ERROR_TYPE: span.error} if span.error else {}
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace_id, span.span_id),
            parent=_context(span.trace_id, span.parent_id) if span.parent_id else None,
            resource=self._exercise if span.exercise else self._real,
            attributes=_plain({**span.attributes, **kind}),
            events=[_event(each) for each in span.moments],
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=nanoseconds(span.begun),
            end_time=nanoseconds(span.ended),
            instrumentation_scope=self._scope,
        )


def nanoseconds(at: datetime) -> int:
    """Since 1970 in UTC, exact to the microsecond."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


def _context(trace_id: int, span_id: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _event(moment: Moment) -> Event:
    return Event(moment.name, _plain(moment.attributes), nanoseconds(moment.at))


def _plain(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return dict(attributes)
