"""``/metrics``: the state of the response as OpenMetrics, for whoever collects and alarms.

Real cases and exercises are apart by the label ``exercise``; no name of a case, key or person is a label.  Cases whose
times are virtual are in no age and no span; they are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from fastapi import APIRouter, HTTPException, Request, Response
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from console.web.bearer import WrongTokenError, bears_token
from console.web.site import Site
from playbooks.summary import Summary

_BUCKETS = (1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 14400.0, 86400.0, 604800.0)
_SPANS = {
    "contained": "claimed containment",
    "data_safe": "no object under the old key",
    "restored": "every consumer works",
}


def router(site: Site) -> APIRouter:
    """``GET /metrics``: for a bearer of the token ``web.metrics_token``, or for whoever may read the pages."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/metrics")
    async def metrics(request: Request) -> Response:
        if not await site.people.run(_bears_token, site, request.headers.get("authorization", "")):
            site.visitors.of(request)
        text = await site.people.run(_text, site)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return routes


def _bears_token(site: Site, header: str) -> bool:
    """Does the request carry the collector's token?  A wrong one is refused; none means that a visitor may ask."""
    try:
        return bears_token(site.wiring.settings.web.metrics_token, header)
    except WrongTokenError as error:
        raise HTTPException(401, "The token is not the one of `web.metrics_token`.") from error


def _text(site: Site) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Cases(site.overview.all(), site.wiring.clock()))
    return bytes(generate_latest(registry))  # type: ignore[no-untyped-call]


class Cases(Collector):
    """Gauges of the open cases and histograms of the closed spans, from the record at one moment."""

    def __init__(self, cases: list[Summary], now: datetime) -> None:
        self._cases = cases
        self._timed = [each for each in cases if not each.virtual_time]
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Every family once."""
        yield self._open()
        yield self._oldest()
        yield self._virtual()
        for name, words in _SPANS.items():
            yield self._span(name, words)

    def _open(self) -> Metric:
        labels = ("severity", "phase", "exercise")
        family = GaugeMetricFamily("keyquell_cases_open", "Cases that are still going on.", labels=labels)
        counted = Counter((each.severity, each.phase, _word(each)) for each in self._cases if each.open)
        for values, count in sorted(counted.items()):
            family.add_metric(values, count)
        return family

    def _oldest(self) -> Metric:
        family = GaugeMetricFamily(
            "keyquell_uncontained_oldest_seconds",
            "Age of the oldest open case that is not contained; 0 when there is none.",
            labels=("exercise",),
            unit="seconds",
        )
        for word in ("no", "yes"):
            burning = [each for each in self._timed if each.open and each.contained_at is None and _word(each) == word]
            ages = [(self._now - (each.detected_at or each.opened_at)).total_seconds() for each in burning]
            family.add_metric((word,), max(0.0, *ages) if ages else 0.0)
        return family

    def _virtual(self) -> Metric:
        words = "Exercises that are in no age and no span, because their times are virtual."
        return GaugeMetricFamily("keyquell_cases_virtual_time", words, value=len(self._cases) - len(self._timed))

    def _span(self, name: str, words: str) -> Metric:
        family = HistogramMetricFamily(
            f"keyquell_{name}_seconds",
            f"From detection (declaration when nothing detected it) until {words}; open spans are not counted.",
            labels=("exercise",),
            unit="seconds",
        )
        for word in ("no", "yes"):
            spans = [span for each in self._timed if _word(each) == word and (span := _seconds(each, name)) is not None]
            buckets = [(f"{edge}", float(sum(span <= edge for span in spans))) for edge in _BUCKETS]
            family.add_metric((word,), [*buckets, ("+Inf", float(len(spans)))], sum_value=sum(spans))
        return family


def _word(case: Summary) -> str:
    return "yes" if case.exercise else "no"


def _seconds(case: Summary, name: str) -> float | None:
    reached: datetime | None = getattr(case, f"{name}_at")
    return None if reached is None else max(0.0, (reached - (case.detected_at or case.opened_at)).total_seconds())
