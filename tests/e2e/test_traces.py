"""What a collector sees of a real process: one set of spans a request, named and tied together as documented."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.api import Api, serving, until
from tests.e2e.conftest import DEMO, OPEN, configure
from tests.e2e.sender import SECRET, deliveries, send_all, signed
from tests.otlp_receiver import OtlpReceiver, Received, otlp_receiver

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        yield receiver


@pytest.fixture(params=["compact", "sdk"])
def recorder(request: pytest.FixtureRequest) -> str:
    """What makes the spans; a collector must not see the difference."""
    return str(request.param)


@pytest.fixture
def database_url(emptied_database: str) -> str:
    """One for all of them: nobody changes the schema."""
    return emptied_database


@pytest.fixture
def traced(database_url: str, redis_url: str, tmp_path: Path, collector: OtlpReceiver, recorder: str) -> Iterator[Api]:
    settings = {
        "OPSCONNECT_SPAN_RECORDER": recorder,
        "OTEL_SDK_DISABLED": "false",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    configure(database_url, DEMO, OPEN)
    with serving(database_url, redis_url, tmp_path, DEMO_SECRET=SECRET, **settings) as api:
        yield api


def spans_of(collector: OtlpReceiver, trace_id: str, count: int) -> dict[str, Received]:
    """Wait for the spans of one trace; by name."""

    def arrived() -> list[Received]:
        found = [span for span in collector.spans if span.trace_id == trace_id]
        return found if len(found) >= count else []

    found = until(arrived, 10, f"{count} spans of {trace_id}")
    assert len(found) == count
    return {span.name: span for span in found}


def test_a_webhook_is_one_trace_that_shows_where_the_time_went(traced: Api, collector: OtlpReceiver) -> None:
    answer = traced.post("/api/v1/webhooks/demo", b"{}", x_delivery_id="1", x_signature=signed(SECRET, b"{}"))
    trace_id = answer.headers["x-trace-id"]
    spans = spans_of(collector, trace_id, 4)
    server = spans["POST /api/v1/webhooks/{source}"]
    children = [spans["verify"], spans["idempotency lock"], spans["append"]]
    assert {span.parent_id for span in children} == {server.span_id}
    assert server.attributes["opsconnect.source"] == "demo"
    assert server.attributes["opsconnect.outcome"] == "accepted"
    assert server.attributes["opsconnect.event_id"] == answer.json()["event_id"]
    assert server.attributes["http.response.status_code"] == 202
    ends = [(span.started_ns, span.ended_ns) for span in children]
    assert ends == sorted(ends)
    assert server.started_ns <= ends[0][0]
    assert ends[-1][1] <= server.ended_ns
    ((_, link),) = spans["append"].links
    batch = until(lambda: [span for span in collector.spans if span.span_id == link])[0]
    assert batch.name == "INSERT events"
    assert batch.attributes["opsconnect.batch.size"] == 1
    assert batch.attributes["opsconnect.commit_ms"] > 0
    shown = traced.get(f"/api/v1/events/{answer.json()['event_id']}").json()
    assert shown["trace_id"] == trace_id


def test_every_request_of_a_burst_has_its_spans(traced: Api, collector: OtlpReceiver) -> None:
    """Accepted, duplicate and refused ones; and one span a batch."""
    import asyncio

    work = deliveries(300)
    asyncio.run(send_all(traced.port, [*work, *work], connections=20))

    def servers() -> list[Received]:
        return [span for span in collector.spans if span.name == "POST /api/v1/webhooks/{source}"]

    until(lambda: len(servers()) >= 600, 15, "600 server spans")
    assert traced.stop() == 0
    assert len(servers()) == 600
    assert len({span.trace_id for span in servers()}) == 600
    outcomes = [span.attributes["opsconnect.outcome"] for span in servers()]
    assert (outcomes.count("accepted"), outcomes.count("duplicate")) == (300, 300)
    names = [span.name for span in collector.spans]
    assert names.count("verify") == names.count("idempotency lock") == 600
    batches = [span for span in collector.spans if span.name == "INSERT events"]
    linked = {span_id for span in collector.spans if span.name == "append" for _, span_id in span.links}
    assert linked <= {span.span_id for span in batches}
    assert len({span.span_id for span in batches}) == len(batches)


def test_a_refused_request_is_traced_too(traced: Api, collector: OtlpReceiver) -> None:
    answer = traced.post("/api/v1/webhooks/demo", b"{}")
    spans = spans_of(collector, answer.headers["x-trace-id"], 2)
    server = spans["POST /api/v1/webhooks/{source}"]
    assert server.attributes["http.response.status_code"] == 401
    assert server.attributes["opsconnect.outcome"] == "signature_missing"


def test_a_sender_s_context_is_linked(traced: Api, collector: OtlpReceiver) -> None:
    """Its own trace, so that a stranger decides neither about the id nor about the sampling."""
    answer = traced.post("/api/v1/webhooks/open", b"{}", traceparent=PARENT)
    assert answer.headers["x-trace-id"] != "0af7651916cd43dd8448eb211c80319c"
    server = spans_of(collector, answer.headers["x-trace-id"], 4)["POST /api/v1/webhooks/{source}"]
    assert not server.parent_id
    assert server.links == [("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")]


def test_a_sender_s_context_is_the_parent_where_that_is_set(
    database_url: str, redis_url: str, tmp_path: Path, collector: OtlpReceiver, recorder: str
) -> None:
    settings = {
        "OPSCONNECT_SPAN_RECORDER": recorder,
        "OTEL_SDK_DISABLED": "false",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OPSCONNECT_TRACE_INCOMING": "parent",
    }
    with serving(database_url, redis_url, tmp_path, **settings) as api:
        api.apply(OPEN)
        answer = api.post("/api/v1/webhooks/open", b"{}", traceparent=PARENT)
        assert answer.headers["x-trace-id"] == "0af7651916cd43dd8448eb211c80319c"
        server = spans_of(collector, "0af7651916cd43dd8448eb211c80319c", 4)["POST /api/v1/webhooks/{source}"]
        assert server.parent_id == "b7ad6b7169203331"


def test_requests_of_the_api_are_traced_as_well(traced: Api, collector: OtlpReceiver) -> None:
    traced.get("/api/v1/events?source=open")
    (span,) = until(lambda: [span for span in collector.spans if span.name == "GET /api/v1/events"])
    assert span.attributes["http.response.status_code"] == 200
