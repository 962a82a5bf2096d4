"""What only the recorder with a thread and a connection of its own can get wrong; the rest is in test_tracing."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from app.adapters.telemetry.canonical_log import CanonicalLog
from app.adapters.telemetry.compact_recorder import MOST_IN_CHUNK, Sampling
from app.adapters.telemetry.intake import RecordedIntake
from app.adapters.telemetry.metrics import IntakeMetrics
from app.adapters.telemetry.tracing import Tracing, open_tracing
from tests.deliveries import a_delivery, a_flush
from tests.otlp_receiver import OtlpReceiver, otlp_receiver
from tests.recorders import Bench, bench_of

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench_of("compact", monkeypatch) as bench:
        yield bench


def decided_by_the_sdk(trace_id: int, parent_flags: int | None) -> bool:
    """Ask the sampler that the SDK makes of the environment."""
    context = Context()
    if parent_flags is not None:
        parent = SpanContext(trace_id, 1, is_remote=True, trace_flags=TraceFlags(parent_flags))
        context = set_span_in_context(NonRecordingSpan(parent), context)
    sampler = TracerProvider(shutdown_on_exit=False).sampler
    return sampler.should_sample(context, trace_id, "span").decision is Decision.RECORD_AND_SAMPLE


@pytest.mark.parametrize("argument", ["", "0", "0.25", "1", "1.5", "-1", "nan", "junk"])
@pytest.mark.parametrize(
    "name",
    ["always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off",
     "parentbased_traceidratio", "Always_Off", "junk", ""],
)  # fmt: skip
def test_the_sampler_decides_as_the_sdk_s(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str, argument: str
) -> None:
    """For each name and argument, at the edges of the ratio, and for each word of a parent."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", name)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    roots = bench.telemetry("link")
    for _ in range(20):
        trace = roots.start("POST", None, None, 1)
        assert trace.traceparent.endswith("-01") == decided_by_the_sdk(int(trace.trace_id, 16), None)
    children = bench.telemetry("parent")
    for low in (1, (1 << 62) - 1, 1 << 62, (1 << 64) - 1):
        for flags in (0, 1):
            trace = children.start("POST", f"00-{TRACE[:16]}{low:016x}-b7ad6b7169203331-0{flags}", None, 1)
            assert trace.traceparent.endswith("-01") == decided_by_the_sdk(int(trace.trace_id, 16), flags)


def test_an_unsampled_trace_of_a_sender_goes_on_with_a_span_id_of_ours(bench: Bench) -> None:
    """As with the SDK: who continues the trace must not take our caller for us."""
    trace = bench.telemetry("parent").start("POST", f"00-{TRACE}-b7ad6b7169203331-00", None, 1)
    assert trace.traceparent.startswith(f"00-{TRACE}-")
    assert "b7ad6b7169203331" not in trace.traceparent


def test_a_full_chunk_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is left of it is sent at the end, or when its time has come."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    with otlp_receiver() as receiver, compact(receiver, monkeypatch) as (tracing, finish):
        for _ in range(MOST_IN_CHUNK):
            finish()
        receiver.wait_for_spans(2 * MOST_IN_CHUNK)
        finish()
        assert tracing.shutdown(10.0)
        assert len(receiver.spans) == 2 * (MOST_IN_CHUNK + 1)
        assert receiver.requests == 2


def test_a_chunk_that_is_not_full_waits_for_company_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    with otlp_receiver() as receiver, compact(receiver, monkeypatch) as (_, finish):
        for already in range(0, 6, 2):
            finish()
            receiver.wait_for_spans(already + 2)


def test_a_record_that_cannot_be_written_costs_only_itself(bench: Bench) -> None:
    """Its neighbours arrive, and it is counted."""
    telemetry = bench.telemetry()
    (tracing,) = bench.opened
    telemetry.finish(a_delivery(telemetry, started_ns=-1, flush=a_flush()))
    telemetry.finish(a_delivery(telemetry, flush=a_flush(append_ended_ns=2**64)))
    telemetry.finish(a_delivery(telemetry, flush=a_flush()))
    assert len(bench.spans(telemetry)) == 5
    assert tracing.dropped() == {"queue": 0, "export": 2}


def test_records_after_the_end_are_counted_and_not_kept(bench: Bench) -> None:
    telemetry = bench.telemetry()
    (tracing,) = bench.opened
    late = a_delivery(telemetry)
    assert tracing.shutdown(5.0)
    telemetry.finish(late)
    telemetry.drain()
    assert tracing.dropped()["queue"] == 1
    assert telemetry.start("POST", None, None, 1).traceparent.endswith("-00")


def test_no_thread_is_left_behind(bench: Bench) -> None:
    telemetry = bench.telemetry()
    telemetry.finish(a_delivery(telemetry))
    assert bench.spans(telemetry)
    assert "compact-spans" not in {thread.name for thread in threading.enumerate()}


def test_what_did_not_get_through_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread ends as well, and does not go on trying for what nobody waits for."""
    with otlp_receiver("unavailable") as receiver, compact(receiver, monkeypatch) as (tracing, finish):
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        for _ in range(3 * MOST_IN_CHUNK):
            finish()
        receiver.wait(lambda receiver: receiver.requests > 0)
        assert not tracing.shutdown(5.0)
        for thread in threading.enumerate():
            if thread.name == "compact-spans":
                thread.join(3.0)
                assert not thread.is_alive()
        assert tracing.dropped() == {"queue": 0, "export": 3 * 2 * MOST_IN_CHUNK}


def test_an_unknown_sampler_takes_all() -> None:
    assert Sampling.named("jaeger_remote", "x") == Sampling()


@contextmanager
def compact(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Tracing, Callable[[], None]]]:
    """Open a recorder; give it with a way to have it record a request at once."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    tracing = open_tracing(version="1", recorder="compact")
    telemetry = RecordedIntake(tracing.recorder, IntakeMetrics(version="1"), CanonicalLog(lambda _: None))

    def finish() -> None:
        telemetry.finish(a_delivery(telemetry))
        telemetry.drain()

    yield tracing, finish
    tracing.shutdown(5.0)
