"""The line and the span of requests that FastAPI serves."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import structlog
from fastapi import FastAPI, Response

from app.adapters.telemetry import catalog
from app.adapters.telemetry.trace_context import remote
from app.adapters.telemetry.tracing import Tracing, current_traceparent, instrument, open_tracing
from app.adapters.web.request_log import REQUEST_ANSWERED, RequestLog
from tests.logged import Log, logged
from tests.otlp_receiver import OtlpReceiver, otlp_receiver


@pytest.fixture
def log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    caplog.set_level("WARNING", logger="httpx")  # the tests' own client would tell the query
    with logged(tmp_path / "log", level="debug") as log:
        yield log


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[OtlpReceiver, Tracing]]:
    with otlp_receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        tracing = open_tracing(version="1")
        yield receiver, tracing
        tracing.shutdown(5.0)


def an_app() -> FastAPI:
    app = FastAPI()

    @app.get("/api/v1/events/{event_id}")
    async def event(event_id: str) -> str:
        structlog.get_logger().info("event.read")
        return event_id

    @app.get("/api/v1/health/live")
    async def live(broken: bool = False) -> Response:
        return Response(status_code=503 if broken else 200)

    @app.post("/api/v1/jobs")
    async def job() -> str:
        structlog.get_logger().info("job.started")
        return current_traceparent()

    @app.get("/defect")
    async def defect() -> None:
        raise RuntimeError("defect")

    return app


@asynccontextmanager
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(RequestLog(app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


async def test_a_request_has_one_line_without_its_query(log: Log) -> None:
    async with client(an_app()) as http:
        await http.get("/api/v1/events/7?token=CANARY")
    (line,) = log.events("request.answered")
    assert line.pop("timestamp")
    assert 0 <= line.pop("ms") < 5000
    assert len(line.pop("trace_id")) == 32
    assert line == {
        "level": "info",
        "event": "request.answered",
        "method": "GET",
        "path": "/api/v1/events/7",
        "status": 200,
    }
    assert "CANARY" not in log.path.read_text()


@pytest.mark.parametrize(
    ("path", "status", "level"),
    [
        ("/nowhere", 404, "warning"),
        ("/defect", 500, "error"),
        ("/api/v1/health/live", 200, "debug"),
        ("/api/v1/health/live?broken=true", 503, "error"),
    ],
)
async def test_its_level_is_that_of_the_answer(log: Log, path: str, status: int, level: str) -> None:
    async with client(an_app()) as http:
        await http.get(path)
    (line,) = log.events("request.answered")
    assert (line["status"], line["level"]) == (status, level)


async def test_all_lines_of_a_request_name_its_trace(log: Log) -> None:
    async with client(an_app()) as http:
        await http.get("/api/v1/events/1")
        await http.get("/api/v1/events/2")
    traces = [line["trace_id"] for line in log.events()]
    assert traces[0] == traces[1] != traces[2] == traces[3]


async def test_a_span_has_stable_names_and_gives_the_line_its_trace(
    log: Log, traced: tuple[OtlpReceiver, Tracing]
) -> None:
    """One span a request, probes included, none for its messages; and no query string."""
    receiver, tracing = traced
    app = an_app()
    instrument(app, tracing)
    async with client(app) as http:
        await http.get("/api/v1/events/7?token=CANARY")
        await http.get("/api/v1/health/live")
    tracing.shutdown(5.0)
    assert len(receiver.spans) == 2
    (span,) = (span for span in receiver.spans if span.name == "GET /api/v1/events/{event_id}")
    assert span.attributes["http.request.method"] == "GET"
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["http.route"] == "/api/v1/events/{event_id}"
    assert not {"http.method", "http.status_code", "http.url", "http.target"} & set(span.attributes)
    assert "CANARY" not in repr(span)
    lines = log.events()
    assert {line["trace_id"] for line in lines if line.get("path") != "/api/v1/health/live"} == {span.trace_id}


async def test_work_that_a_request_starts_continues_its_span(log: Log, traced: tuple[OtlpReceiver, Tracing]) -> None:
    receiver, tracing = traced
    app = an_app()
    instrument(app, tracing)
    async with client(app) as http:
        given = [(await http.post("/api/v1/jobs")).json() for _ in range(2)]
    tracing.shutdown(5.0)
    assert sorted(given) == sorted(f"00-{span.trace_id}-{span.span_id}-01" for span in receiver.spans)
    assert len(set(given)) == 2
    assert {line["trace_id"] for line in log.events()} == {text.split("-")[1] for text in given}


async def test_without_spans_it_has_the_trace_of_the_log_lines_and_nobody_records_it(log: Log) -> None:
    async with client(an_app()) as http:
        first, second = [(await http.post("/api/v1/jobs")).json() for _ in range(2)]
    for text in (first, second):
        assert remote(text) is not None
        assert text.endswith("-00")
    assert first.split("-")[2] != second.split("-")[2]
    traces = [line["trace_id"] for line in log.events()]
    assert traces == [text.split("-")[1] for text in (first, first, second, second)]


async def test_outside_a_request_it_is_a_trace_all_the_same() -> None:
    assert remote(current_traceparent()) is not None
    assert current_traceparent() != current_traceparent()


async def test_no_metrics_but_ours_and_no_provider_for_the_whole_process(
    log: Log, traced: tuple[OtlpReceiver, Tracing]
) -> None:
    from opentelemetry import metrics, trace

    before: list[Callable[[], object]] = [trace.get_tracer_provider, metrics.get_meter_provider]
    kinds = [type(get()).__name__ for get in before]
    instrument(an_app(), traced[1])
    assert [type(get()).__name__ for get in before] == kinds
    assert not any(kind in {"TracerProvider", "MeterProvider"} for kind in kinds)


def test_without_spans_nothing_is_instrumented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    app = an_app()
    instrument(app, open_tracing(version="1"))
    assert not hasattr(app, "_is_instrumented_by_opentelemetry")


def test_the_name_is_that_of_the_catalogue() -> None:
    """The two adapters do not know each other."""
    assert catalog.REQUEST_ANSWERED.name == REQUEST_ANSWERED
