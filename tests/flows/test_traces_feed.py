"""Traces reach a real receiver at least once with the same ids, and one that is away costs nobody anything."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.trace_collector import Answer, TraceCollector
from opentelemetry import trace
from written_case import CREDENTIAL, ID, KEY, START, Case

import flows
from flows.doctor import examine
from flows.feeds import Feed
from flows.settings import Settings, load_settings
from flows.soundness import refuse_mistakes
from flows.traces import Traces, traces_feed
from flows.wiring import Wiring
from playbooks.errors import InvalidInput, KeyquellError, Throttled, Unreachable
from playbooks.plans import Phase
from playbooks.record import EventKind

GOES_ON = threading.Event()
ERROR_TEXT = "canary-text-of-an-error"


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[TraceCollector]:
    """A receiver of traces."""
    with TraceCollector(tmp_path) as running:
        yield running


@pytest.fixture
def wiring(tmp_path: Path, collector: TraceCollector) -> Iterator[Wiring]:
    """One open case that is contained, and the receiver in the settings."""
    with opened(tmp_path, collector) as found:
        contained().write_to(found.records)
        yield found


@contextmanager
def opened(folder: Path, collector: TraceCollector) -> Iterator[Wiring]:
    """A record in the folder, told to the receiver."""
    moments = iter(START + timedelta(seconds=number) for number in range(100_000))
    settings = Settings(
        state=folder / "state", estate=folder / "estate.yaml", source=folder / "keyquell.yaml",
        traces={"endpoint": collector.endpoint, "ca_file": str(collector.ca)},
    )  # fmt: skip
    with Wiring.open(settings, clock=lambda: next(moments)) as found:
        yield found


def contained() -> Case:
    """A case whose containment is proven, after one step had to be tried twice."""
    case = Case()
    case.fail(case.steps(Phase.CONTAIN)[0], f"{KEY}: {ERROR_TEXT}", code="ThrottlingException", retryable=True)
    case.contained()
    return case


def closed() -> Case:
    """The same case at its end."""
    case = contained()
    case.note(EventKind.CLOSED, by="alice", outcome="recovered")
    return case


def feed(wiring: Wiring, said: list[KeyquellError] | None = None) -> Feed:
    """As ``serve`` begins it."""
    [receiver] = wiring.parts("traces").values()
    heard = said if said is not None else []
    return traces_feed(wiring, receiver(), on_trouble=lambda _, error: heard.append(error))


def names(collector: TraceCollector) -> list[str]:
    """What arrived, each once."""
    return [each.name for each in collector.spans.values()]


def test_an_open_case_tells_its_spans_and_a_closed_one_its_root(wiring: Wiring, collector: TraceCollector) -> None:
    """Each once, also after a restart; in the end no parent is missing, and one trace is the case."""
    feed(wiring).round(GOES_ON)
    assert "contain" in names(collector)
    assert "incident" not in names(collector)
    assert feed(wiring).round(GOES_ON) == 0
    closed().write_to(wiring.records)
    feed(wiring).round(GOES_ON)
    assert set(collector.taken.values()) == {1}
    ids = {each.span_id for each in collector.spans.values()}
    assert [each.name for each in collector.spans.values() if each.parent_span_id not in ids] == ["incident"]
    assert len({each.trace_id for each in collector.spans.values()}) == 1


def test_what_is_told_names_no_key_no_person_and_no_text_of_others(wiring: Wiring, collector: TraceCollector) -> None:
    """In the octets that left the host."""
    begun = feed(wiring)
    closed().write_to(wiring.records)
    begun.round(GOES_ON)
    sent = b"".join(collector.requests)
    assert ID.encode() in sent
    for secret in (ERROR_TEXT, KEY, CREDENTIAL, "AKIA", "alice", "host/1", "invoices"):
        assert secret.encode() not in sent


def test_a_kill_between_arrival_and_place_tells_the_same_spans_again(
    wiring: Wiring, collector: TraceCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit, so that a receiver that knows ids keeps one of each."""
    begun = feed(wiring)

    def killed(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("flows.feeds.write_secret", killed)
        with pytest.raises(OSError, match="No space"):
            begun.round(GOES_ON)
    feed(wiring).round(GOES_ON)
    assert set(collector.taken.values()) == {2}
    assert collector.requests[0] == collector.requests[1]


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_many_spans_go_in_several_requests_and_a_break_between_them_loses_none(
    wiring: Wiring, collector: TraceCollector, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Wherever it breaks; what one event ended may be parted, and is then told again."""
    begun = feed(wiring)
    closed().write_to(wiring.records)
    begun.round(GOES_ON)
    whole = names(collector)
    assert len(whole) > 3
    assert len(collector.requests) == 1
    monkeypatch.setattr("flows.traces._AT_ONCE", at_once)
    [place] = (wiring.settings.state / "traces").iterdir()
    for number in range(1, (len(whole) - 1) // at_once + 1):
        place.write_text("{}", encoding="utf-8")
        collector.spans.clear()
        collector.broken_at = len(collector.requests) + number
        with pytest.raises(Unreachable):
            feed(wiring).round(GOES_ON)
        assert names(collector) == whole[: number * at_once]
        feed(wiring).round(GOES_ON)
        assert names(collector) == whole


def test_a_receiver_that_was_away_gets_everything_later(wiring: Wiring, collector: TraceCollector) -> None:
    """Nothing is dropped meanwhile, and the wish to wait is told as it came."""
    begun = feed(wiring)
    collector.answers += [Answer(503, {}), Answer(429, {"retry-after": "3"})]
    with pytest.raises(Unreachable):
        begun.round(GOES_ON)
    with pytest.raises(Throttled, match="for 3 seconds"):
        begun.round(GOES_ON)
    closed().write_to(wiring.records)
    begun.round(GOES_ON)
    assert {"contain", "incident"} < set(names(collector))


def test_spans_that_a_receiver_will_never_take_are_said_once_and_left(
    wiring: Wiring, collector: TraceCollector
) -> None:
    """They must not hold up those behind them; no request is made again for them."""
    said: list[KeyquellError] = []
    collector.most = 2
    feed(wiring, said).round(GOES_ON)
    [error] = said
    assert f"will not take {len(set(_sent(collector))) - 2} of" in error.message
    assert feed(wiring, said).round(GOES_ON) == 0
    assert len(said) == 1


def _sent(collector: TraceCollector) -> list[bytes]:
    """Ids of all spans that were sent, taken or not."""
    return [
        span.span_id
        for each in collector.resources
        for scope in each.scope_spans
        for span in scope.spans
    ]  # fmt: skip


def test_another_receiver_is_told_of_open_cases_from_their_beginning(
    wiring: Wiring, collector: TraceCollector, tmp_path: Path
) -> None:
    """And not of what was over before."""
    feed(wiring).round(GOES_ON)
    for folder, is_over in ((tmp_path / "second", False), (tmp_path / "third", True)):
        folder.mkdir()
        if is_over:
            closed().write_to(wiring.records)
        with TraceCollector(folder) as other, opened(tmp_path, other) as again:
            feed(again).round(GOES_ON)
            assert bool(other.spans) is not is_over
            assert is_over or names(other) == names(collector)


def wait_for(holds: Callable[[], object], *, seconds: float = 20) -> None:
    """Until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_part_of_serve_waits_as_long_as_it_is_asked_and_ends_when_it_is_told(
    wiring: Wiring, collector: TraceCollector
) -> None:
    """Not a request in between; and a wish to wait for an hour does not hold up the end."""
    collector.answers += [Answer(429, {"retry-after": "2"}), Answer(503, {"retry-after": "0"})]
    said: list[tuple[str, KeyquellError]] = []
    stop = threading.Event()
    thread = threading.Thread(target=Traces(wiring, on_trouble=lambda *each: said.append(each)).run, args=(stop,))
    thread.start()
    wait_for(lambda: said)
    asked_at = time.monotonic()
    wait_for(lambda: len(collector.requests) == 2)
    assert time.monotonic() - asked_at > 1.8
    wait_for(lambda: "contain" in names(collector))
    collector.answers.append(Answer(429, {"retry-after": "3600"}))
    closed().write_to(wiring.records)
    wait_for(lambda: len(said) == 3)
    told_at = time.monotonic()
    stop.set()
    thread.join(20)
    assert time.monotonic() - told_at < 1
    assert {name for name, _ in said} == {"traces"}


def test_nothing_is_registered_with_opentelemetry_nor_set_in_the_environment(
    wiring: Wiring, collector: TraceCollector
) -> None:
    """Prefect knows both: it would begin to send traces of its own."""
    before = dict(os.environ)
    feed(wiring).round(GOES_ON)
    assert collector.spans
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert dict(os.environ) == before


_OFF = """
import os, sys, threading
from pathlib import Path
from written_case import Case
import console.main, flows.serve
from flows.settings import load_settings
from flows.soundness import refuse_mistakes
from flows.traces import Traces
from flows.wiring import Wiring
with Wiring.open(load_settings(Path(sys.argv[1]))) as wiring:
    Case().write_to(wiring.records)
    refuse_mistakes(wiring)
    Traces(wiring).run(threading.Event())
print(sorted(each for each in sys.modules if each.startswith("opentelemetry")))
print((wiring.settings.state / "traces").exists())
"""


def test_without_the_setting_nothing_of_opentelemetry_is_imported_and_nothing_is_kept(tmp_path: Path) -> None:
    """In a process of its own, with all that ``serve`` imports before Prefect, whose business the rest is."""
    (tmp_path / "keyquell.yaml").write_text("state: state\nestate: estate.yaml\n", encoding="utf-8")
    root = Path(flows.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"}
    done = subprocess.run(
        [sys.executable, "-c", _OFF, str(tmp_path / "keyquell.yaml")],
        env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["[]", "False"]


def written(folder: Path, traces: str) -> Path:
    """Settings with this line for traces."""
    config = folder / "keyquell.yaml"
    config.write_text(f"state: state\nestate: estate.yaml\ntraces: {traces}\n", encoding="utf-8")
    return config


def test_a_mistake_in_the_setting_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    """And named, with no secret in it; a receiver that is away is none."""
    hidden = "{endpoint: 'https://me:hidden@h/v1/traces'}"
    with (
        Wiring.open(load_settings(written(tmp_path, hidden))) as wiring,
        pytest.raises(InvalidInput, match="endpoint") as caught,
    ):
        refuse_mistakes(wiring)
    assert "hidden" not in str(caught.value)
    with Wiring.open(load_settings(written(tmp_path, "{endpoint: 'http://127.0.0.1:1/v1/traces'}"))) as wiring:
        refuse_mistakes(wiring)


def test_doctor_asks_the_receiver_whether_it_takes_traces(tmp_path: Path, collector: TraceCollector) -> None:
    """With the token, and without a span."""
    collector.token = "t"
    (tmp_path / "headers").write_text("authorization=Bearer t", encoding="utf-8")
    given = f"{{endpoint: '{collector.endpoint}', ca_file: {collector.ca}, headers: file:./headers}}"
    [sound] = [each for each in examine(written(tmp_path, given)) if each.what == "traces otlp"]
    assert (sound.ok, sound.advice) == (True, f"{collector.endpoint} takes traces")
    assert collector.taken == {}
    (tmp_path / "headers").write_text("authorization=Bearer wrong", encoding="utf-8")
    [faulty] = [each for each in examine(written(tmp_path, given)) if each.what == "traces otlp"]
    assert not faulty.ok
    assert "401" in faulty.advice
    assert "traces.headers" in faulty.advice
