"""An OTLP/HTTP collector for tests: a real socket, real protobuf, and the bad manners that collectors have."""

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

Manner = Literal["ok", "slow", "unavailable", "black hole"]


@dataclass(frozen=True, slots=True)
class Received:
    """One span as it came over the wire; ids in hexadecimal, times in nanoseconds since the epoch."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    started_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    """Trace and span."""
    tracestate: str
    failed: bool
    resource: dict[str, Any]


@dataclass
class OtlpReceiver:
    """What came in, and how to behave."""

    manner: Manner = "ok"
    slow_seconds: float = 0.3
    url: str = ""
    requests: int = 0
    """All of them, whatever was answered."""
    encodings: set[str] = field(default_factory=set)
    spans: list[Received] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    """Set it to let go of those who wait in the black hole."""
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, until: Callable[["OtlpReceiver"], bool], seconds: float = 10.0) -> None:
        """Wait for a condition, which is looked at whenever a request came in."""
        with self._changed:
            assert self._changed.wait_for(lambda: until(self), seconds), f"not in {seconds} s; got {self.names}"

    def wait_for_spans(self, count: int, seconds: float = 10.0) -> list[Received]:
        """Wait for that many spans, and give them."""
        self.wait(lambda receiver: len(receiver.spans) >= count, seconds)
        return self.spans

    @property
    def names(self) -> list[str]:
        """The spans' names as they came."""
        return [span.name for span in self.spans]

    def one(self, name: str) -> Received:
        """The only span of that name."""
        (span,) = [span for span in self.spans if span.name == name]
        return span

    def take(self, body: bytes, encoding: str) -> int:
        """Note a request, and give the status to answer with; 0 for none."""
        with self._changed:
            self.requests += 1
            self.encodings.add(encoding)
            self._changed.notify_all()
        if self.manner == "black hole":
            self.released.wait()
            return 0
        if self.manner == "slow":
            self.released.wait(self.slow_seconds)
        if self.manner == "unavailable":
            return 503
        message = ExportTraceServiceRequest.FromString(gzip.decompress(body) if encoding == "gzip" else body)
        with self._changed:
            self.spans.extend(_spans(message))
            self._changed.notify_all()
        return 200


@contextmanager
def otlp_receiver(manner: Manner = "ok") -> Iterator[OtlpReceiver]:
    """Listen on a free port of the loopback address."""
    receiver = OtlpReceiver(manner)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = receiver.take(body, self.headers.get("content-encoding", "none"))
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _spans(message: ExportTraceServiceRequest) -> Iterator[Received]:
    for group in message.resource_spans:
        resource = {pair.key: _value(pair.value) for pair in group.resource.attributes}
        for scope in group.scope_spans:
            for span in scope.spans:
                yield _received(span, resource)


def _received(span: Span, resource: dict[str, Any]) -> Received:
    attributes: list[KeyValue] = list(span.attributes)
    return Received(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        started_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        attributes={pair.key: _value(pair.value) for pair in attributes},
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        tracestate="|".join([span.trace_state, *(link.trace_state for link in span.links)]).strip("|"),
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        resource=resource,
    )


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)
