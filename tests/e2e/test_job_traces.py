"""One trace from the provider's POST to the outgoing call, as a collector and the other side see it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.api import Api, until
from tests.e2e.conftest import DEMO, configure
from tests.e2e.sender import SECRET, signed
from tests.e2e.sink import Sink, sink
from tests.e2e.worker import make_worker
from tests.otlp_receiver import OtlpReceiver, Received, otlp_receiver


@pytest.fixture
def collector() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        yield receiver


@pytest.fixture
def book() -> Iterator[Sink]:
    with sink() as book:
        yield book


@pytest.fixture
def traced(database_url: str, redis_url: str, tmp_path: Path, collector: OtlpReceiver, book: Sink) -> Iterator[Api]:
    """An API and a worker, who send their spans to the same collector."""
    connection = {"name": "sink", "connector": "http", "settings": {"base_url": book.url}}
    configure(database_url, {**DEMO, "run": "sink.post"}, connections=[{**connection, "allow_private": ["127.0.0.1"]}])
    more = {
        "OTEL_SDK_DISABLED": "false",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "DEMO_SECRET": SECRET,
    }
    api = Api(database_url, redis_url, tmp_path / "api.log", more=more, forked=True)
    worker = make_worker(database_url, tmp_path, **more)
    try:
        for process in (api, worker):
            process.start(wait=False)
        until(lambda: api._is_ready() and worker._is_ready(), 30, "the start")
        yield api
    finally:
        worker.kill()
        api.stop()


def named(spans: list[Received], name: str) -> list[Received]:
    """Those of one name, the first to begin first."""
    return sorted((span for span in spans if span.name == name), key=lambda span: span.started_ns)


def test_an_event_is_one_trace_from_the_post_to_the_call_that_succeeds(
    traced: Api, collector: OtlpReceiver, book: Sink
) -> None:
    """The first call fails: the second execution is in the same trace, and linked to the first."""
    book.coming = ["500"]
    answer = traced.post("/api/v1/webhooks/demo", b"{}", x_delivery_id="1", x_signature=signed(SECRET, b"{}"))
    trace_id = answer.headers["x-trace-id"]

    def whole() -> list[Received]:
        spans = [span for span in collector.spans if span.trace_id == trace_id]
        return spans if len(spans) >= 9 else []

    spans = until(whole, 15, "nine spans of the trace")
    assert len(spans) == 9
    (server,) = named(spans, "POST /api/v1/webhooks/{source}")
    assert not server.parent_id
    (plan,) = named(spans, "plan")
    executions, steps = named(spans, "execute sink"), named(spans, "step post")
    assert [span.parent_id for span in (plan, *executions)] == [server.span_id] * 3
    assert [step.parent_id for step in steps] == [execution.span_id for execution in executions]
    assert executions[0].links == []
    assert executions[1].links == [(trace_id, executions[0].span_id)]
    assert [hit.traceparent for hit in book.hits] == [f"00-{trace_id}-{step.span_id}-01" for step in steps]
    assert [execution.attributes["opsconnect.attempt"] for execution in executions] == [1, 2]
    assert [execution.attributes["opsconnect.outcome"] for execution in executions] == ["failed", "completed"]
    assert [step.attributes.get("error.type") for step in steps] == ["http_500", None]
    assert [(span.kind, span.failed) for span in (*executions, *steps)] == [
        ("CONSUMER", True),
        ("CONSUMER", False),
        ("CLIENT", True),
        ("CLIENT", False),
    ]
    assert {span.attributes["opsconnect.event_id"] for span in (server, plan, *executions)} == {
        answer.json()["event_id"]
    }
    assert server.started_ns <= plan.started_ns <= executions[0].started_ns <= steps[0].started_ns
    assert steps[0].ended_ns <= executions[0].ended_ns <= executions[1].started_ns
