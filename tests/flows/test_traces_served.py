"""The process that people start tells real receivers of a real response, and a receiver that fails holds up nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from fakes.trace_collector import Answer, TraceCollector
from serve_lab import ServeLab, end, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


def test_a_response_is_contained_beside_a_failing_receiver_and_told_when_it_is_back(
    lab: ServeLab, tmp_path: Path
) -> None:
    """Also by the process that follows a killed one; each span has one id however often it came, and names no key."""
    with TraceCollector(tmp_path) as collector:
        collector.answers += [Answer(503, {})] * 200
        settings = yaml.safe_load(lab.shop.config.read_text(encoding="utf-8"))
        settings["traces"] = {"endpoint": collector.endpoint, "ca_file": str(collector.ca)}
        lab.shop.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        child = lab.start()
        try:
            lab.listening(child)
            assert lab.leak(0).status_code == 202
            until(lambda: lab.all_contained(1), "containment")
            until(lambda: "traces: the receiver of traces answers 503." in lab.said(), "a try to tell it")
            assert collector.spans == {}
        finally:
            end(child)
        collector.answers.clear()
        with lab.serving():
            until(lambda: any(each.name == "cut-credential" for each in list(collector.spans.values())), "the step")
        step = collector.named("cut-credential")
        moments = [each.name for each in step.events]
        assert (moments[0], set(moments[1:-1]), moments[-1]) == ("accepted", {"probe"}, "proven")
        sent = b"".join(collector.requests)
        for secret in (lab.credentials[0].access_key_id, lab.credentials[0].name, lab.shop.key, "ann"):
            assert secret.encode() not in sent
    assert "opentelemetry" not in lab.said().lower()
