"""Bytes written by hand, read by the real protobuf; and the compact recorder beside the SDK, value by value."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from app.adapters.telemetry.compact_spans import CompactTrace, SpanWriter
from app.adapters.telemetry.exporting import Collector, CountingProcessor, WatchedExporter
from app.adapters.telemetry.intake_spans import SCOPE
from app.adapters.telemetry.otlp_encoding import Envelope, Limits, any_value, attributes, varint
from app.adapters.telemetry.recorder import Incoming, Seen
from app.adapters.telemetry.sdk_recorder import SdkRecorder
from app.adapters.telemetry.trace_context import remote, state_members
from app.core.ports.event_store import Flush
from app.core.ports.telemetry import Delivery
from tests.deliveries import EVENT_ID

RESOURCE = Resource({"service.name": "öps", "one": 1, "half": 0.5, "yes": True, "list": ("a", "b")}, "https://schema/1")
SENDER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

known_text = st.text(st.characters(exclude_categories=["Cs"]))
any_text = st.text(st.characters())
# Where a time is missing, nothing happened.
moment = st.integers(0, 2**64 - 1)
count = st.integers(0, 2**63 - 1)


@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_read_back(number: int) -> None:
    """As the length of something, and as a value."""
    groups = varint(number)
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(groups)) == number
    assert [byte >> 7 for byte in groups] == [1] * (len(groups) - 1) + [0]


plain = known_text | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.binary()


@given(plain | st.lists(plain, max_size=5))
def test_a_value_is_read_back(value: Any) -> None:
    """Of any kind that an attribute may have."""
    written = any_value(value)
    assert written is not None
    read = AnyValue.FromString(written)
    got = [_plain(item) for item in read.array_value.values] if isinstance(value, list) else _plain(read)
    assert repr(got) == repr(value)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, [1, 2**64], None, object()])
def test_a_value_that_cannot_be_written_costs_only_itself(value: Any) -> None:
    assert any_value(value) is None
    assert b"lost" not in (written := attributes({"lost": value, "kept": 1}, Limits()))
    assert [pair.key for pair in Span.FromString(written).attributes] == ["kept"]


@given(any_text)
def test_any_text_can_be_written(text: str) -> None:
    """A lone surrogate becomes a question mark."""
    written = any_value(text)
    assert written is not None
    assert AnyValue.FromString(written).string_value == text.encode("utf-8", "replace").decode()


flushes = st.builds(
    Flush,
    size=count,
    lock_started_ns=moment,
    lock_ended_ns=moment,
    append_started_ns=moment,
    append_ended_ns=moment,
    locks=st.none() | st.dictionaries(st.sampled_from(["held", "busy", "marked", "unshielded", "novel"]), count),
)
stories = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["POST", "GET", "BREW", ""]),
        "path": st.sampled_from(["/api/v1/webhook", "/api/v1/webhooks/demo", "/x?y=1"]) | any_text,
        "client": any_text,
        "started_ns": moment,
        "source": st.sampled_from(["", "demo"]) | any_text,
        "provider": known_text,
        "size": count,
        "verify_started_ns": moment,
        "verify_ended_ns": moment,
        "ended_ns": moment,
        "status": st.sampled_from([0, 200, 202, 401, 500, 503]),
        "outcome": known_text,
        "event_id": st.sampled_from(["", EVENT_ID]) | known_text,
    }
)
limits = st.sampled_from(
    [{}, {}, {"max_span_attributes": 3}, {"max_span_attributes": 0}, {"max_span_attribute_length": 2}, {"max_links": 0}]
)


@settings(max_examples=200, deadline=None)
@given(
    stories,
    st.none() | flushes,
    st.booleans(),
    st.sampled_from([None, SENDER, SENDER[:-2] + "00"]),
    st.sampled_from([None, "vendor=a:b, other=1"]),
    limits,
)
def test_the_bytes_are_what_the_sdk_would_have_sent(
    story: dict[str, Any],
    flush: Flush | None,
    continued: bool,
    traceparent: str | None,
    tracestate: str | None,
    limited: dict[str, int],
) -> None:
    """Every field of every message, whatever a record says; only ids are drawn by each."""
    sampled = not continued or traceparent is None or traceparent.endswith("-01")
    incoming: Incoming = "parent" if continued else "link"
    stock = _by_the_sdk(story, flush, incoming, traceparent, tracestate, limited)
    if sampled:
        assert _comparable(_by_hand(story, flush, incoming, traceparent, tracestate, limited)) == _comparable(stock)
    else:
        assert not stock.resource_spans


def test_requests_of_one_batch_share_its_span_and_nothing_of_each_other() -> None:
    """What is remembered from one request to the next says nothing that differs between them."""
    stories: list[dict[str, Any]] = [
        {
            "method": "POST",
            "path": path,
            "client": client,
            "started_ns": 1,
            "ended_ns": 2,
            "size": size,
            "status": status,
        }
        for path in ("/api/v1/webhooks/a", "/api/v1/webhook")
        for client in ("192.0.2.1", "192.0.2.2")
        for size, status in ((1, 202), (4096, 202), (4096, 503))
    ]
    writer = SpanWriter("http", Limits())
    out: list[bytes] = []
    flush = Flush(size=12, append_started_ns=3, append_ended_ns=4, recorded=Seen())
    for story in stories:
        trace = CompactTrace("1" * 32 + "2" * 16)
        writer.write(Delivery(trace=trace, flush=flush, **story), trace, out)
    message = ExportTraceServiceRequest.FromString(Envelope(RESOURCE, SCOPE).wrap(out))
    ((scope,),) = [group.scope_spans for group in message.resource_spans]
    told = [
        {pair.key: _plain(pair.value) for pair in span.attributes}
        for span in scope.spans
        if span.kind == Span.SPAN_KIND_SERVER
    ]
    assert [
        (one["url.path"], one["client.address"], one["http.request.body.size"], one["http.response.status_code"])
        for one in told
    ] == [(story["path"], story["client"], story["size"], story["status"]) for story in stories]
    names = [span.name for span in scope.spans]
    assert (names.count("append"), names.count("INSERT events")) == (12, 1)


def test_what_senders_choose_does_not_fill_the_memory() -> None:
    """A path a request, or a long one, is remembered for a while, or not at all."""
    writer = SpanWriter("http", Limits())
    for number in range(3000):
        trace = CompactTrace("1" * 32 + "2" * 16)
        for path in (f"/api/v1/webhooks/{number}", f"/{number}" + "x" * 600):
            writer.write(Delivery(trace=trace, method="POST", path=path, client="::1", started_ns=1), trace, [])
    assert 0 < len(writer._remembered) <= 1024
    assert max(len(key[0]) for key in writer._remembered) < 600


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    assert kind is not None
    return getattr(value, kind)


def _delivery(trace: Any, story: dict[str, Any], flush: Flush | None) -> Delivery:
    if flush is not None:
        flush.recorded = Seen()
    return Delivery(trace=trace, flush=flush, **story)


def _by_hand(
    story: dict[str, Any],
    flush: Flush | None,
    incoming: Incoming,
    traceparent: str | None,
    tracestate: str | None,
    limited: dict[str, int],
) -> ExportTraceServiceRequest:
    sender = remote(traceparent)
    if sender and incoming == "parent":
        trace = CompactTrace(sender.trace_id + "2" * 16, parent=sender, members=state_members(tracestate))
    else:
        trace = CompactTrace("1" * 32 + "2" * 16, linked=sender)
    read = SpanLimits(**limited)
    writer = SpanWriter("http", Limits(read.max_span_attributes, read.max_span_attribute_length, read.max_links))
    spans: list[bytes] = []
    writer.write(_delivery(trace, story, flush), trace, spans)
    message: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(Envelope(RESOURCE, SCOPE).wrap(spans))
    return message


def _by_the_sdk(
    story: dict[str, Any],
    flush: Flush | None,
    incoming: Incoming,
    traceparent: str | None,
    tracestate: str | None,
    limited: dict[str, int],
) -> ExportTraceServiceRequest:
    memory = InMemorySpanExporter()
    watch = Collector(configured=True, endpoint="memory", hint="", every_seconds=0.0).watch()
    processor = CountingProcessor(WatchedExporter(memory, watch), most_waiting=100, most_in_batch=100)
    bounds = SpanLimits(**limited)
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False, span_limits=bounds)
    batches = TracerProvider(resource=RESOURCE, shutdown_on_exit=False, span_limits=bounds, sampler=ALWAYS_ON)
    provider.add_span_processor(processor)
    batches.add_span_processor(processor)
    recorder = SdkRecorder(provider, batches, processor, incoming=incoming)
    recorder.record(
        _delivery(recorder.start(story["method"], traceparent, tracestate, story["started_ns"]), story, flush)
    )
    processor.shutdown()
    spans = memory.get_finished_spans()
    assert watch.lost == 0
    message: ExportTraceServiceRequest = encode_spans(spans)
    return message


def _comparable(message: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """Put spans in one order, and for every id drawn here the name of the span that has it."""
    ids = {}
    for group in message.resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                batch = span.kind == Span.SPAN_KIND_CLIENT
                assert len(span.trace_id) == 16
                assert len(span.span_id) == 8
                assert any(span.trace_id)
                assert any(span.span_id)
                ids[span.span_id] = f"id of {span.name}".encode()
                if span.trace_id.hex() not in SENDER:
                    ids[span.trace_id] = b"the batch's trace" if batch else b"the request's trace"
    for group in message.resource_spans:
        for scope in group.scope_spans:
            assert len({span.span_id for span in scope.spans}) == len(scope.spans)
            for span in scope.spans:
                span.trace_id = ids.get(span.trace_id, span.trace_id)
                span.span_id = ids[span.span_id]
                span.parent_span_id = ids.get(span.parent_span_id, span.parent_span_id)
                for link in span.links:
                    link.trace_id = ids.get(link.trace_id, link.trace_id)
                    link.span_id = ids.get(link.span_id, link.span_id)
            ordered = sorted(scope.spans, key=lambda span: span.name)
            del scope.spans[:]
            scope.spans.extend(ordered)
    return message
