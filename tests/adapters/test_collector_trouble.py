"""Collectors that are dead, slow or silent: nothing that a sender, or the one who stops the process, should notice."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from app.adapters.telemetry.canonical_log import CanonicalLog
from app.adapters.telemetry.intake import RecordedIntake
from app.adapters.telemetry.metrics import IntakeMetrics
from app.adapters.telemetry.readings import Readings
from app.adapters.telemetry.tracing import RecorderName, Tracing, open_tracing
from tests.deliveries import a_delivery, a_flush
from tests.logged import Log, logged
from tests.otlp_receiver import Manner, otlp_receiver

BUDGET_SECONDS = 1.0
ROOT = Path(__file__).parents[2]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with logged(tmp_path / "log", level="info") as log:
        yield log


@pytest.fixture(params=["compact", "sdk"])
def recorder(request: pytest.FixtureRequest) -> RecorderName:
    name: RecorderName = request.param
    return name


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")


def telemetry_of(tracing: Tracing, metrics: IntakeMetrics | None = None) -> RecordedIntake:
    return RecordedIntake(tracing.recorder, metrics or IntakeMetrics(version="1"), CanonicalLog(lambda _: None))


def a_dead_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


# What a process does: take some requests, then stop. It tells how long a `finish` took (the median, in milliseconds).
PROGRAM = """
import asyncio, sys, time
from app.adapters.telemetry.canonical_log import CanonicalLog
from app.adapters.telemetry.intake import RecordedIntake
from app.adapters.telemetry.metrics import IntakeMetrics
from app.adapters.telemetry.tracing import open_tracing
from tests.deliveries import a_delivery, a_flush

async def main():
    tracing = open_tracing(version="1", recorder=sys.argv[2])
    telemetry = RecordedIntake(tracing.recorder, IntakeMetrics(version="1"), CanonicalLog(lambda _: None))
    spent = []
    for _ in range(600):
        delivery = a_delivery(telemetry, flush=a_flush())
        started = time.perf_counter()
        telemetry.finish(delivery)
        spent.append(time.perf_counter() - started)
        await asyncio.sleep(0)
    telemetry.drain()
    sys.stdin.readline()  # until the collector has what it will never answer
    started = time.perf_counter()
    in_time = await asyncio.to_thread(tracing.shutdown, float(sys.argv[1]))
    print("RESULT", sorted(spent)[300] * 1000, in_time, time.perf_counter() - started, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize(("manner", "dead"), [("ok", True), ("black hole", False), ("unavailable", False)])
def test_a_process_answers_and_ends_in_time_whatever_the_collector_does(
    recorder: RecorderName, manner: Manner, dead: bool
) -> None:
    """The SDK alone would join its thread for 30 s, and the exporter wait 10 s for an answer."""
    with otlp_receiver(manner) as receiver:
        endpoint = f"http://127.0.0.1:{a_dead_port()}" if dead else receiver.url
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(BUDGET_SECONDS), recorder],
            cwd=ROOT,
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            if not dead:
                receiver.wait(lambda receiver: receiver.requests > 0, 30.0)
            told = time.perf_counter()
            said, complaints = process.communicate("go\n", timeout=60.0)
            to_the_end = time.perf_counter() - told
    assert process.returncode == 0, complaints
    (result,) = [line.split() for line in said.splitlines() if line.startswith("RESULT")]
    _, finish_ms, in_time, shutdown_seconds = result
    assert float(finish_ms) < 0.1
    assert in_time == "False"
    assert float(shutdown_seconds) < BUDGET_SECONDS + 0.5
    if not dead:  # else it is still starting when it is told to stop
        assert to_the_end < BUDGET_SECONDS + 2.0


def test_the_exit_is_quick_where_the_collector_is_well(recorder: RecorderName, monkeypatch: pytest.MonkeyPatch) -> None:
    with otlp_receiver("slow") as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        tracing = open_tracing(version="1", recorder=recorder)
        telemetry = telemetry_of(tracing)
        telemetry.finish(a_delivery(telemetry))
        telemetry.drain()
        assert tracing.shutdown(10.0)
        assert len(receiver.spans) == 2


def test_a_dead_collector_is_told_of_once(recorder: RecorderName, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with what to do, whatever the SDK and its exporter have to say, and never a key of the address."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://user:CANARY@127.0.0.1:{a_dead_port()}/?key=CANARY")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    tracing = open_tracing(version="1", recorder=recorder)
    metrics = IntakeMetrics(version="1", readings=Readings(spans_dropped=tracing.dropped))
    telemetry = telemetry_of(tracing, metrics)
    for exported in range(1, 4):
        telemetry.finish(a_delivery(telemetry))
        telemetry.drain()
        until(partial(lambda spans: tracing.dropped()["export"] == spans, 2 * exported))
    assert tracing.shutdown(5.0)

    (line,) = log.events()
    assert line["event"] == "telemetry.export_failed"
    assert "timeout" in line["reason"]
    assert line["endpoint"].startswith("http://127.0.0.1:")
    assert "CANARY" not in log.path.read_text()
    assert 'opsconnect_spans_dropped_total{reason="export"} 6.0' in metrics.render().decode()


def test_a_collector_that_comes_back_is_told_of(
    recorder: RecorderName, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    with otlp_receiver("unavailable") as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1.5")  # one retry, which is where the reason is told
        tracing = open_tracing(version="1", recorder=recorder)
        telemetry = telemetry_of(tracing)
        telemetry.finish(a_delivery(telemetry))
        telemetry.drain()
        until(lambda: tracing.dropped()["export"] == 2)
        receiver.manner = "ok"
        telemetry.finish(a_delivery(telemetry))
        telemetry.drain()
        receiver.wait_for_spans(2)
        assert tracing.shutdown(5.0)
    first, last = log.events()
    assert (first["event"], first["reason"]) == ("telemetry.export_failed", "Service Unavailable")
    assert last["event"] == "telemetry.export_recovered"


def test_a_full_queue_drops_whole_requests_and_counts_them(
    recorder: RecorderName, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never half a trace, never a line a span, and no spans at all are made while there is no room."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
    with otlp_receiver("black hole") as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        tracing = open_tracing(version="1", recorder=recorder)
        telemetry = telemetry_of(tracing)
        telemetry.finish(a_delivery(telemetry, flush=a_flush()))
        telemetry.drain()
        receiver.wait(lambda receiver: receiver.requests > 0)
        deliveries = [a_delivery(telemetry, flush=a_flush()) for _ in range(50)]
        for delivery in deliveries:
            telemetry.finish(delivery)
        telemetry.drain()
        late = a_delivery(telemetry, flush=a_flush())
        telemetry.finish(late)
        telemetry.drain()
        assert tracing.dropped()["queue"] == 31  # 20 requests of five spans fit
        assert late.trace.traceparent.endswith("-00")
        receiver.manner = "ok"
        receiver.released.set()
        tracing.shutdown(5.0)
        names = receiver.names
        assert len(names) >= 100
        assert len(set(map(names.count, set(names)))) == 1
    assert [line["event"] for line in log.events() if "Queue" in line["event"]] == []


def test_spans_of_others_are_bounded_and_counted_too(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of FastAPI's requests come to the same queue."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    with otlp_receiver("black hole") as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        tracing = open_tracing(version="1")
        assert tracing.provider is not None
        tracer = tracing.provider.get_tracer("others")
        for _ in range(25):
            tracer.start_span("GET /api/v1/events").end()
        assert tracing.dropped() == {"queue": 15, "export": 0}
        receiver.manner = "ok"
        receiver.released.set()
        tracing.shutdown(5.0)
    assert log.events() == []


@pytest.mark.parametrize(("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")])
def test_spans_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Trace ids remain, and a sender's trace is passed on where it would be continued."""
    sender = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    monkeypatch.setenv(name, value)
    off = open_tracing(version="1")
    assert off.provider is None
    traces = {off.recorder.start("POST", sender, None, 1).traceparent for _ in range(100)}
    assert len(traces) == 100
    assert not any("0af7651916cd43dd8448eb211c80319c" in trace for trace in traces)
    continuing = open_tracing(version="1", incoming="parent").recorder
    assert continuing.start("POST", sender, None, 1).traceparent == sender
    assert continuing.start("POST", "junk", None, 1).traceparent not in traces
    assert off.shutdown(0.0)


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_TRACES_EXPORTER", "console"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]
)
def test_a_setting_that_asks_for_what_is_not_there_is_told_of(
    log: Log, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    open_tracing(version="1").shutdown(1.0)
    (line,) = log.events("telemetry.setting_ignored")
    assert line["variable"] == name


@pytest.mark.parametrize("size", ["1", "junk", "-5"])
def test_an_odd_queue_size_does_not_keep_the_service_from_starting(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", size)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{a_dead_port()}")
    assert open_tracing(version="1").shutdown(5.0)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for what another thread brings about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
