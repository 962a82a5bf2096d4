"""From the record of a request to its spans as OTLP bytes, some 5 µs a request.

Most of a span is the same as in the one before. What depends on the sender, the source and the answer is kept as bytes
from one request to the next; what depends on the batch is written once a batch; only ids, times, size and event are
written for each. Where limits of attributes are set, the server span takes the long way, by `otlp_encoding.attributes`.
"""

import struct
from collections.abc import Sequence

from app.adapters.telemetry import catalog, otlp_encoding
from app.adapters.telemetry.intake_spans import (
    MOST_ATTRIBUTES,
    append_attributes,
    batch_attributes,
    failed,
    lock_attributes,
    server_attributes,
    server_name,
    waited_ms,
)
from app.adapters.telemetry.otlp_encoding import (
    ATTRIBUTE,
    LOCAL_FLAGS,
    PARENT_SPAN_ID,
    REMOTE_FLAGS,
    SMALL,
    SPAN,
    SPAN_ID,
    STATUS_ERROR,
    STATUS_UNSET,
    TRACE_ID,
    Limits,
    block,
    link,
    names,
    pair,
    times,
    trace_state,
    varint,
)
from app.adapters.telemetry.recorder import Seen
from app.adapters.telemetry.trace_context import Remote, fresh_ids
from app.core.ports.event_store import Flush
from app.core.ports.telemetry import Delivery, Trace

_CHILD_LENGTH = 18 + 10 + 10  # a trace's, a span's and a parent's id, with their tags
_TIMES_LENGTH = 18
_SPANS = [SPAN + length for length in SMALL]
_MOST_REMEMBERED = 1024
_LONGEST_REMEMBERED = 512

_SIZE_KEY = "http.request.body.size"
# What stands before the size, by the bytes of its varint; before an event's id of 36 characters; before the wait.
_SIZE = [b"", *(block(ATTRIBUTE, pair(_SIZE_KEY, 1 << 7 * n - 1))[:-n] for n in range(1, 10))]
_EVENT = block(ATTRIBUTE, pair("opsconnect.event_id", "x" * 36))[:-36]
_QUEUE = block(ATTRIBUTE, pair("opsconnect.queue_ms", 0.0))[:-8]
_APART = {_SIZE_KEY, "opsconnect.event_id", "opsconnect.queue_ms"}
_DOUBLE = struct.Struct("<d")


class CompactTrace(Trace):
    """A sampled request: ids, and what its sender claimed."""

    __slots__ = ("ids", "linked", "members", "parent", "trace_id", "traceparent")
    trace_id: str
    traceparent: str

    def __init__(
        self,
        ids: str,
        linked: Remote | None = None,
        parent: Remote | None = None,
        members: Sequence[tuple[str, str]] = (),
    ) -> None:
        """`ids`: a trace's and a span's, in hexadecimal digits."""
        self.ids = ids
        self.trace_id = trace_id = ids[:32]
        self.traceparent = f"00-{trace_id}-{ids[32:]}-01"
        self.linked = linked
        self.parent = parent
        self.members = members


class _Batch:
    """What the spans of a batch's requests have in common, after their ids."""

    __slots__ = ("append", "append_length", "lock", "lock_length")

    def __init__(self, lock: bytes, append: bytes) -> None:
        self.lock = lock
        self.lock_length = _CHILD_LENGTH + len(lock)
        self.append = append
        self.append_length = _CHILD_LENGTH + len(append)


class SpanWriter:
    """Makes spans of records; for one thread."""

    def __init__(self, scheme: str, limits: Limits) -> None:
        self._scheme = scheme
        self._limits = limits
        self._limited = limits.value_length is not None or (
            limits.attributes is not None and limits.attributes < MOST_ATTRIBUTES
        )
        self._remembered: dict[tuple[str, str, str, int, str, str, str], tuple[bytes, bytes]] = {}
        self._verify = names(catalog.VERIFY.name, catalog.VERIFY.kind) + LOCAL_FLAGS + STATUS_UNSET
        self._lock = names(catalog.LOCK.name, catalog.LOCK.kind) + LOCAL_FLAGS + STATUS_UNSET
        self._append = names(catalog.APPEND.name, catalog.APPEND.kind) + LOCAL_FLAGS + STATUS_UNSET
        self._batch = names(catalog.BATCH.name, catalog.BATCH.kind) + LOCAL_FLAGS + STATUS_UNSET
        self._verify_length = _CHILD_LENGTH + _TIMES_LENGTH + len(self._verify)

    def write(self, delivery: Delivery, trace: CompactTrace, out: list[bytes]) -> int:
        """Add the spans of a request, and of its batch if that has none yet; give how many.

        Where it raises, `out` may hold some of them.
        """
        ids = bytes.fromhex(trace.ids)
        span_id = ids[16:]
        in_trace = b"".join((TRACE_ID, ids[:16], SPAN_ID))
        state = trace_state(trace.members) if trace.members else b""
        parent = PARENT_SPAN_ID + span_id + state
        more = len(state)
        fresh = fresh_ids()
        server = b"".join((in_trace, span_id, state, self._context(trace), *self._server(delivery)))
        length = len(server)
        out += (_SPANS[length] if length < len(_SPANS) else SPAN + varint(length), server)
        count = 1
        if delivery.verify_started_ns:
            count += 1
            when = times(delivery.verify_started_ns, delivery.verify_ended_ns)
            out += (_SPANS[self._verify_length + more], in_trace, fresh[:8], parent, when, self._verify)
        flush = delivery.flush
        if flush is not None:
            seen = flush.recorded
            batch = seen.span if isinstance(seen, Seen) else None
            if not isinstance(batch, _Batch):
                batch = self._begin(flush, out)
                count += flush.append_started_ns != 0
            if flush.lock_started_ns:
                count += 1
                out += (_SPANS[batch.lock_length + more], in_trace, fresh[8:16], parent, batch.lock)
            if flush.append_started_ns:
                count += 1
                out += (_SPANS[batch.append_length + more], in_trace, fresh[16:], parent, batch.append)
        return count

    def _context(self, trace: CompactTrace) -> bytes:
        """Write what the server span hangs on."""
        if trace.parent is not None:
            return PARENT_SPAN_ID + bytes.fromhex(trace.parent.span_id) + REMOTE_FLAGS
        if trace.linked is not None:
            trace_id, span_id, _ = trace.linked
            return LOCAL_FLAGS + link(bytes.fromhex(trace_id), bytes.fromhex(span_id), self._limits, remote=True)
        return LOCAL_FLAGS

    def _server(self, delivery: Delivery) -> tuple[bytes, ...]:
        """Write the server span without its ids."""
        when = times(delivery.started_ns, delivery.ended_ns)
        if self._limited:
            told = otlp_encoding.attributes(server_attributes(delivery, self._scheme), self._limits)
            return (when, self._about(delivery), told)
        key = (
            delivery.path,
            delivery.client,
            delivery.source,
            delivery.status,
            delivery.outcome,
            delivery.provider,
            delivery.method,
        )
        before, after = self._remembered.get(key) or self._remember(key, delivery)
        size = SMALL[delivery.size] if 0 <= delivery.size < len(SMALL) else varint(delivery.size)
        event = wait = b""
        if event_id := delivery.event_id:
            if len(event_id) == 36 and event_id.isascii():
                event = _EVENT + event_id.encode()
            else:
                event = block(ATTRIBUTE, pair("opsconnect.event_id", event_id))
        if (queue_ms := waited_ms(delivery)) is not None:
            wait = _QUEUE + _DOUBLE.pack(queue_ms)
        return (when, before, _SIZE[len(size)], size, after, event, wait)

    def _remember(self, key: tuple[str, str, str, int, str, str, str], delivery: Delivery) -> tuple[bytes, bytes]:
        """Write what requests like this one have in common: before the size of the body, and after it."""
        told = server_attributes(delivery, self._scheme)
        order = list(told)
        place = order.index(_SIZE_KEY)
        before, after = (
            otlp_encoding.attributes({key: told[key] for key in keys if key not in _APART}, Limits())
            for keys in (order[:place], order[place:])
        )
        written = (self._about(delivery) + before, after)
        # Senders choose the path, and may choose a new one each time.
        if len(delivery.path) + len(delivery.source) + len(delivery.method) < _LONGEST_REMEMBERED:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = written
        return written

    def _about(self, delivery: Delivery) -> bytes:
        status = STATUS_ERROR if failed(delivery) else STATUS_UNSET
        return names(server_name(delivery.method, delivery.path), catalog.SERVER.kind) + status

    def _begin(self, flush: Flush, out: list[bytes]) -> _Batch:
        """Write a batch's own span, and what its requests will share."""
        lock = append = b""
        if flush.lock_started_ns:
            told = otlp_encoding.attributes(lock_attributes(flush.locks), self._limits)
            lock = times(flush.lock_started_ns, flush.lock_ended_ns) + self._lock + told
        if flush.append_started_ns:
            when = times(flush.append_started_ns, flush.append_ended_ns)
            ids = fresh_ids()
            told = otlp_encoding.attributes(append_attributes(flush), self._limits)
            append = when + self._append + told + link(ids[:16], ids[16:], self._limits, remote=False)
            told = otlp_encoding.attributes(batch_attributes(flush), self._limits)
            out.append(block(SPAN, TRACE_ID + ids[:16] + SPAN_ID + ids[16:] + when + self._batch + told))
        batch = _Batch(lock, append)
        if isinstance(flush.recorded, Seen):
            flush.recorded.span = batch
        return batch
