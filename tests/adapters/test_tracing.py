"""Spans as a collector receives them, over each recorder there is."""

import re
from collections.abc import Iterator

import pytest

from app.adapters.telemetry import catalog
from tests.deliveries import EVENT_ID, MS, T0, a_delivery, a_flush, a_refusal
from tests.recorders import RECORDERS, Bench, bench_of

SENDER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SERVER = "POST /api/v1/webhooks/{source}"


@pytest.fixture(params=RECORDERS)
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench_of(request.param, monkeypatch) as bench:
        yield bench


def test_a_request_is_one_server_span_with_its_children_and_the_batch_of_its_own(bench: Bench) -> None:
    """The documented set: names, kinds, parents, times, and the link from append to the batch."""
    telemetry = bench.telemetry()
    telemetry.finish(a_delivery(telemetry, flush=a_flush()))
    bench.spans(telemetry)

    assert sorted(bench.receiver.names) == sorted([SERVER, "verify", "idempotency lock", "append", "INSERT events"])
    server, batch = bench.receiver.one(SERVER), bench.receiver.one("INSERT events")
    assert (server.kind, server.parent_id, server.links, server.failed) == ("SERVER", "", [], False)
    assert (server.started_ns, server.ended_ns) == (T0, T0 + 6 * MS)
    times = {"verify": (0.5, 1), "idempotency lock": (2, 3), "append": (3, 5)}
    for name, (start, end) in times.items():
        child = bench.receiver.one(name)
        assert (child.kind, child.trace_id, child.parent_id) == ("INTERNAL", server.trace_id, server.span_id)
        assert (child.started_ns, child.ended_ns) == (T0 + int(start * MS), T0 + int(end * MS))
    assert (batch.kind, batch.parent_id) == ("CLIENT", "")
    assert batch.trace_id != server.trace_id
    assert (batch.started_ns, batch.ended_ns) == (T0 + 3 * MS, T0 + 5 * MS)
    assert bench.receiver.one("append").links == [(batch.trace_id, batch.span_id)]


def test_attributes_are_those_of_the_catalogue(bench: Bench) -> None:
    telemetry = bench.telemetry()
    telemetry.finish(a_delivery(telemetry, flush=a_flush(3, locks={"held": 2, "busy": 1, "novel": 9})))
    bench.spans(telemetry)

    assert bench.receiver.one(SERVER).attributes == {
        "http.request.method": "POST",
        "url.path": "/api/v1/webhooks/demo",
        "url.scheme": "http",
        "http.route": "/api/v1/webhooks/{source}",
        "http.response.status_code": 202,
        "http.request.body.size": 1000,
        "client.address": "192.0.2.7",
        "opsconnect.source": "demo",
        "opsconnect.provider": "hmac",
        "opsconnect.outcome": "accepted",
        "opsconnect.event_id": EVENT_ID,
        "opsconnect.queue_ms": 1.0,
    }
    assert bench.receiver.one("idempotency lock").attributes == {
        "opsconnect.lock.held": 2,
        "opsconnect.lock.busy": 1,
    }
    assert bench.receiver.one("append").attributes == {"opsconnect.batch.size": 3}
    assert bench.receiver.one("INSERT events").attributes == {
        "db.system.name": "postgresql",
        "db.operation.name": "INSERT",
        "db.collection.name": "events",
        "db.operation.batch.size": 3,
        "opsconnect.batch.size": 3,
        "opsconnect.commit_ms": 2.0,
    }


def test_every_attribute_and_span_is_in_the_catalogue(bench: Bench) -> None:
    telemetry = bench.telemetry()
    telemetry.finish(a_delivery(telemetry, flush=a_flush(2, locks=dict.fromkeys(("held", "busy", "marked"), 1))))
    telemetry.finish(a_refusal(telemetry, 503, "unavailable", path="/api/v1/webhook"))
    entries = {entry.name: entry for entry in catalog.SPANS}
    for span in bench.spans(telemetry):
        entry = entries.get(span.name) or catalog.SERVER
        assert entry.kind == span.kind
        assert set(span.attributes) <= set(entry.attributes) <= set(catalog.ATTRIBUTES)


def test_a_batch_has_one_span_and_each_request_a_link_to_it(bench: Bench) -> None:
    telemetry = bench.telemetry()
    flush = a_flush(200)
    traces = set()
    for _ in range(200):
        delivery = a_delivery(telemetry, flush=flush)
        traces.add(delivery.trace.trace_id)
        telemetry.finish(delivery)
    spans = bench.spans(telemetry)

    batch = bench.receiver.one("INSERT events")
    assert len(traces) == 200
    assert {span.trace_id for span in spans if span.name == SERVER} == traces
    appends = [span for span in spans if span.name == "append"]
    assert len(appends) == 200
    assert {link for span in appends for link in span.links} == {(batch.trace_id, batch.span_id)}
    assert len(spans) == 200 * 4 + 1


def test_what_did_not_happen_has_no_span(bench: Bench) -> None:
    """A duplicate that the lock knew of was never in a statement; a refusal never in a batch."""
    telemetry = bench.telemetry()
    known = a_flush(0, locks={"marked": 1}, append_started_ns=0, append_ended_ns=0)
    telemetry.finish(a_delivery(telemetry, flush=known, status=200, outcome="duplicate"))
    telemetry.finish(a_refusal(telemetry, 404, "unknown_source", source="", verify_started_ns=0, verify_ended_ns=0))
    spans = bench.spans(telemetry)
    assert sorted(bench.receiver.names) == sorted([SERVER, "verify", "idempotency lock", SERVER])
    (refused,) = [span for span in spans if span.attributes.get("http.response.status_code") == 404]
    assert not {"opsconnect.source", "opsconnect.provider", "opsconnect.event_id", "opsconnect.queue_ms"} & set(
        refused.attributes
    )


@pytest.mark.parametrize(
    ("status", "outcome", "failed", "error_type"),
    [
        (401, "bad_signature", False, None),
        (422, "invalid_lead", False, None),
        (503, "unavailable", True, "unavailable"),
        (503, "", True, "503"),
        (0, "", True, "unanswered"),
    ],
)
def test_only_what_is_our_fault_is_an_error(
    bench: Bench, status: int, outcome: str, failed: bool, error_type: str | None
) -> None:
    telemetry = bench.telemetry()
    telemetry.finish(a_refusal(telemetry, status, outcome))
    bench.spans(telemetry)
    server = bench.receiver.one(SERVER)
    assert (server.failed, server.attributes.get("error.type")) == (failed, error_type)


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/api/v1/webhook", "POST /api/v1/webhook"),
        ("GET", "/api/v1/webhooks/demo", "GET /api/v1/webhooks/{source}"),
        ("POST", "/api/v1/webhook?x=1", SERVER),
        ("BREW", "/api/v1/webhooks/pot", "HTTP /api/v1/webhooks/{source}"),
        ("BREW", "/api/v1/webhook", "HTTP /api/v1/webhook"),
    ],
)
def test_names_are_few_whatever_senders_do(bench: Bench, method: str, path: str, name: str) -> None:
    telemetry = bench.telemetry()
    telemetry.finish(a_delivery(telemetry, method=method, path=path))
    bench.spans(telemetry)
    server = bench.receiver.one(name)
    assert name.endswith(server.attributes["http.route"])
    assert server.attributes["http.request.method"] == ("_OTHER" if method == "BREW" else method)


def test_the_sampler_of_the_environment_decides(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the requests, each whole, and no batch without a request."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
    telemetry = bench.telemetry()
    deliveries = [a_delivery(telemetry, flush=a_flush()) for _ in range(400)]
    for delivery in deliveries:
        telemetry.finish(delivery)
    bench.spans(telemetry)
    sampled = {delivery.trace.trace_id for delivery in deliveries if delivery.trace.traceparent.endswith("-01")}
    names = bench.receiver.names
    assert 40 <= len(sampled) <= 180
    assert {span.trace_id for span in bench.receiver.spans if span.name == SERVER} == sampled
    assert names.count("append") == names.count("INSERT events") == len(sampled)


def test_the_sampler_can_take_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    telemetry = bench.telemetry()
    delivery = a_delivery(telemetry, flush=a_flush())
    telemetry.finish(delivery)
    assert bench.spans(telemetry) == []
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", delivery.trace.traceparent)


def test_the_resource_says_who_we_are(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = bench.telemetry()
    telemetry.finish(a_delivery(telemetry))
    (first, *_) = bench.spans(telemetry)
    assert (first.resource["service.name"], first.resource["service.version"]) == ("opsconnect", "1.2.3")
    assert len(first.resource["service.instance.id"]) == 36

    bench.receiver.spans.clear()
    monkeypatch.setenv("OTEL_SERVICE_NAME", "hooks")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=me,deployment.environment.name=staging")
    telemetry = bench.telemetry()
    telemetry.finish(a_delivery(telemetry))
    (second, *_) = bench.spans(telemetry)
    assert second.resource["service.name"] == "hooks"
    assert second.resource["service.instance.id"] == "me"
    assert second.resource["deployment.environment.name"] == "staging"


def test_a_collector_may_want_gzip(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    telemetry = bench.telemetry()
    telemetry.finish(a_delivery(telemetry))
    assert bench.spans(telemetry)
    assert bench.receiver.encodings == {"gzip"}


def test_no_secret_of_a_request_reaches_a_span(bench: Bench) -> None:
    """Marked strings where they might be: a query, the operator's detail, headers that are not what they should be."""
    telemetry = bench.telemetry()
    telemetry.finish(
        a_refusal(
            telemetry,
            401,
            "bad_signature",
            path="/api/v1/webhooks/demo?token=CANARY",
            detail="CANARY",
            traceparent="CANARY",
            tracestate="CANARY",
        )
    )
    telemetry.finish(a_delivery(telemetry, flush=a_flush(epoch="CANARY"), traceparent=SENDER, tracestate="CANARY!"))
    spans = bench.spans(telemetry)
    assert len(spans) == 7
    assert "CANARY" not in repr(spans)


def test_text_that_no_encoding_knows_does_not_spoil_the_others(bench: Bench) -> None:
    """One lone surrogate in a batch of spans would fail the export of all of them."""
    telemetry = bench.telemetry()
    telemetry.finish(a_delivery(telemetry, path="/api/v1/webhooks/\udcff" + "x" * 5000, client="\udcff"))
    telemetry.finish(a_delivery(telemetry))
    spans = bench.spans(telemetry)
    assert bench.receiver.names.count(SERVER) == 2
    assert max(len(span.attributes.get("url.path", "")) for span in spans) == 256


def test_a_clock_set_back_gives_no_negative_span(bench: Bench) -> None:
    telemetry = bench.telemetry()
    flush = a_flush(append_ended_ns=T0, lock_ended_ns=T0)
    telemetry.finish(a_delivery(telemetry, flush=flush, verify_ended_ns=T0 + 9 * MS, ended_ns=T0 - MS))
    spans = bench.spans(telemetry)
    assert len(spans) == 5
    assert all(span.ended_ns >= span.started_ns for span in spans)
    assert bench.receiver.one(SERVER).attributes["opsconnect.queue_ms"] == 0
