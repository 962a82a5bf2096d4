"""Spans by the OpenTelemetry SDK, made after the answer with the times that were noted on the way.

The queue's wait is an attribute of the request's span; the children show the batch's lock round trip and its statement
with their true times, which neighbours in the batch share. The statement itself is one span a batch, linked from each.
"""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from app.adapters.telemetry import catalog
from app.adapters.telemetry.exporting import CountingProcessor
from app.adapters.telemetry.intake_spans import (
    MOST_SPANS,
    SCOPE,
    Attributes,
    append_attributes,
    batch_attributes,
    failed,
    lock_attributes,
    server_attributes,
    server_name,
)
from app.adapters.telemetry.recorder import Incoming, Recorder, Seen
from app.adapters.telemetry.trace_context import remote, state_members, unrecorded
from app.core.ports.event_store import Flush
from app.core.ports.telemetry import Delivery, Trace

_NOWHERE = Context()  # never the ambient context: what is current around the request is none of its business


class SdkTrace(Trace):
    """The server span, recording or not, as the core sees it."""

    __slots__ = ("span",)

    def __init__(self, span: Span) -> None:
        self.span = span

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return f"{self.span.get_span_context().trace_id:032x}"

    @property
    def traceparent(self) -> str:
        """The server span's context."""
        context = self.span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"


class SdkRecorder(Recorder):
    """Makes up to five spans a request: the server's, its children, and the batch's once."""

    def __init__(
        self,
        provider: TracerProvider,
        batches: TracerProvider,
        processor: CountingProcessor,
        *,
        incoming: Incoming = "link",
        scheme: str = "http",
    ) -> None:
        """`batches` records whatever it is asked to: a batch's span is made only when a request in it is sampled."""
        self._tracer = provider.get_tracer(SCOPE)
        self._batch_tracer = batches.get_tracer(SCOPE)
        self._processor = processor
        self._continues = incoming == "parent"
        self._scheme = scheme

    def start(self, method: str, traceparent: str | None, tracestate: str | None, started_ns: int) -> Trace:
        """Start the server span; while the exporter does not keep up, only ids are given."""
        claimed = remote(traceparent) if traceparent else None
        if not self._processor.room(MOST_SPANS):
            self._processor.turned_away += 1
            return unrecorded(claimed if self._continues else None)
        context, links = _NOWHERE, ()  # type: tuple[Context, Sequence[Link]]
        if claimed is not None:
            # A link needs no tracestate: that is for those who continue the trace.
            members = state_members(tracestate) if self._continues else None
            sender = SpanContext(
                int(claimed.trace_id, 16),
                int(claimed.span_id, 16),
                is_remote=True,
                trace_flags=TraceFlags(claimed.flags & 1),
                trace_state=TraceState(members) if members else None,
            )
            if self._continues:
                context = set_span_in_context(NonRecordingSpan(sender), _NOWHERE)
            else:
                links = (Link(sender),)
        return SdkTrace(
            self._tracer.start_span(
                server_name(method),
                context=context,
                kind=SpanKind.SERVER,
                links=links,
                start_time=started_ns,
            )
        )

    def record(self, delivery: Delivery) -> None:
        """End the server span with its children, or drop them together: half a trace misleads."""
        trace = delivery.trace
        if not isinstance(trace, SdkTrace) or not trace.span.is_recording():
            return
        if not self._processor.room(MOST_SPANS):
            self._processor.turned_away += 1
            return
        span = trace.span
        inside = set_span_in_context(span, _NOWHERE)
        if delivery.verify_started_ns:
            self._child(catalog.VERIFY.name, inside, delivery.verify_started_ns, delivery.verify_ended_ns)
        flush = delivery.flush
        if flush is not None:
            if flush.lock_started_ns:
                locks = lock_attributes(flush.locks)
                self._child(catalog.LOCK.name, inside, flush.lock_started_ns, flush.lock_ended_ns, attributes=locks)
            if flush.append_started_ns:
                links = (self._batch(flush),)
                self._child(
                    catalog.APPEND.name,
                    inside,
                    flush.append_started_ns,
                    flush.append_ended_ns,
                    attributes=append_attributes(flush),
                    links=links,
                )
        if delivery.path == catalog.LEAD_ROUTE:
            span.update_name(server_name(delivery.method, delivery.path))
        span.set_attributes(server_attributes(delivery, self._scheme))
        if failed(delivery):
            span.set_status(StatusCode.ERROR)
        span.end(max(delivery.ended_ns, delivery.started_ns))

    def _child(
        self,
        name: str,
        inside: Context,
        started_ns: int,
        ended_ns: int,
        *,
        attributes: Attributes | None = None,
        links: Sequence[Link] = (),
    ) -> None:
        span = self._tracer.start_span(
            name, context=inside, attributes=attributes, links=links, start_time=started_ns
        )  # fmt: skip
        span.end(max(started_ns, ended_ns))  # the clock may have been set back in between

    def _batch(self, flush: Flush) -> Link:
        """Give the link to the batch's span, which the first of its requests that is recorded makes."""
        seen = flush.recorded
        if isinstance(seen, Seen) and isinstance(seen.span, Link):
            return seen.span
        ended_ns = max(flush.append_started_ns, flush.append_ended_ns)
        span = self._batch_tracer.start_span(
            catalog.BATCH.name,
            context=_NOWHERE,
            kind=SpanKind.CLIENT,
            attributes=batch_attributes(flush),
            start_time=flush.append_started_ns,
        )
        span.end(ended_ns)
        link = Link(span.get_span_context())
        if isinstance(seen, Seen):
            seen.span = link
        return link
