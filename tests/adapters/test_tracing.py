"""Spans as a collector receives them, over each recorder there is."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from app.adapters.telemetry import catalog
from app.adapters.telemetry.canonical_log import CanonicalLog
from app.adapters.telemetry.intake import RecordedIntake
from app.adapters.telemetry.metrics import IntakeMetrics
from app.adapters.telemetry.recorder import Incoming
from app.adapters.telemetry.tracing import Tracing, open_tracing
from tests.deliveries import EVENT_ID, MS, T0, a_delivery, a_flush, a_refusal
from tests.otlp_receiver import OtlpReceiver, Received, otlp_receiver

SENDER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SENDER_TRACE, SENDER_SPAN = SENDER.split("-")[1:3]
SERVER = "POST /api/v1/webhooks/{source}"

RECORDERS: dict[str, Callable[[Incoming], Tracing]] = {
    "sdk": lambda incoming: open_tracing(version="1.2.3", incoming=incoming),
}


@dataclass
class Bench:
    """A recorder under test: the port in front, a collector behind."""

    open_tracing: Callable[[Incoming], Tracing]
    receiver: OtlpReceiver
    opened: list[Tracing] = field(default_factory=list)
    metrics: IntakeMetrics = field(default_factory=lambda: IntakeMetrics(version="1.2.3"))

    def telemetry(self, incoming: Incoming = "link") -> RecordedIntake:
        """What the container would build. Variables of the environment are read now."""
        self.opened.append(self.open_tracing(incoming))
        return RecordedIntake(self.opened[-1].recorder, self.metrics, CanonicalLog(lambda _: None))

    def spans(self, telemetry: RecordedIntake) -> list[Received]:
        """Everything that was recorded, once all of it is exported."""
        telemetry.drain()
        for tracing in self.opened:
            assert tracing.shutdown(10.0)
        self.opened.clear()
        return self.receiver.spans


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        yield receiver


@pytest.fixture(params=RECORDERS)
def bench(request: pytest.FixtureRequest, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    bench = Bench(RECORDERS[request.param], receiver)
    yield bench
    for tracing in bench.opened:
        tracing.shutdown(5.0)


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


def test_a_senders_trace_is_linked_and_not_joined(bench: Bench) -> None:
    """Any sender could otherwise write into our traces, or switch their sampling off."""
    telemetry = bench.telemetry("link")
    unsampled = SENDER[:-2] + "00"
    delivery = a_delivery(telemetry, traceparent=unsampled, tracestate="vendor=a:b, other=1")
    telemetry.finish(delivery)
    bench.spans(telemetry)
    server = bench.receiver.one(SERVER)
    assert server.trace_id == delivery.trace.trace_id != SENDER_TRACE
    assert server.parent_id == ""
    assert server.links == [(SENDER_TRACE, SENDER_SPAN)]
    assert server.tracestate == ""
    assert delivery.trace.traceparent == f"00-{server.trace_id}-{server.span_id}-01"


def test_a_senders_trace_is_continued_where_that_is_configured(bench: Bench) -> None:
    telemetry = bench.telemetry("parent")
    delivery = a_delivery(telemetry, traceparent=SENDER, tracestate="vendor=a:b, other=1")
    telemetry.finish(delivery)
    telemetry.finish(a_delivery(telemetry, traceparent=SENDER[:-2] + "00"))
    bench.spans(telemetry)
    server = bench.receiver.one(SERVER)  # the other request's sender did not sample it
    assert (server.trace_id, server.parent_id, server.links) == (SENDER_TRACE, SENDER_SPAN, [])
    assert server.tracestate == "vendor=a:b,other=1"
    assert delivery.trace.traceparent == f"00-{SENDER_TRACE}-{server.span_id}-01"


@pytest.mark.parametrize("incoming", ["link", "parent"])
@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "garbage",
        SENDER.upper(),
        SENDER + "-extra",
        SENDER + "\n",
        "ff" + SENDER[2:],
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        SENDER[:-1],
        SENDER + "0",
        SENDER.replace("-", "_"),
        "01" + SENDER[2:] + "-" + "x" * 600,
        "00-٠af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ],
)
def test_a_malformed_traceparent_is_as_none(bench: Bench, incoming: Incoming, traceparent: str) -> None:
    telemetry = bench.telemetry(incoming)
    delivery = a_delivery(telemetry, traceparent=traceparent, tracestate="vendor=1")
    telemetry.finish(delivery)
    bench.spans(telemetry)
    server = bench.receiver.one(SERVER)
    assert re.fullmatch("[0-9a-f]{32}", server.trace_id)
    assert (server.trace_id, server.parent_id, server.links) == (delivery.trace.trace_id, "", [])
    assert server.trace_id != SENDER_TRACE


@pytest.mark.parametrize("traceparent", [f" {SENDER}\t", "01" + SENDER[2:] + "-more"])
def test_space_around_and_later_versions_are_understood(bench: Bench, traceparent: str) -> None:
    telemetry = bench.telemetry()
    telemetry.finish(a_delivery(telemetry, traceparent=traceparent))
    bench.spans(telemetry)
    assert bench.receiver.one(SERVER).links == [(SENDER_TRACE, SENDER_SPAN)]


@pytest.mark.parametrize(
    "tracestate", ["UPPER=1", "a=1,a=2", "a", "=1", "a=" + "x" * 600, ",".join(f"k{n}=1" for n in range(40)), "a=b\r\n"]
)
def test_a_malformed_tracestate_costs_only_itself(bench: Bench, tracestate: str) -> None:
    telemetry = bench.telemetry("parent")
    telemetry.finish(a_delivery(telemetry, traceparent=SENDER, tracestate=tracestate))
    bench.spans(telemetry)
    server = bench.receiver.one(SERVER)
    assert (server.parent_id, server.tracestate) == (SENDER_SPAN, "")


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
