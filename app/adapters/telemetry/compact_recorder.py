"""Spans without span objects: ids at the start, one record at the end, bytes on a thread of its own.

The loop's share is to draw ids, decide whether the request is sampled, and append its record to a queue. The thread
wakes when `MOST_IN_CHUNK` records wait, or after a while. It writes them in slices of some 0.3 ms with a pause after
each: while it writes, it holds the interpreter, and the loop would otherwise wait for whole chunks. Then it sends the
chunk, and retries it while new records wait; what finds the queue full is turned away and counted, by requests.
"""

import threading
import time
from collections import deque
from typing import NamedTuple

from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from app.adapters.telemetry.compact_spans import CompactTrace, SpanWriter
from app.adapters.telemetry.exporting import Watch
from app.adapters.telemetry.intake_spans import MOST_SPANS
from app.adapters.telemetry.otlp_encoding import Envelope
from app.adapters.telemetry.otlp_sender import Sender
from app.adapters.telemetry.recorder import Incoming, Recorder
from app.adapters.telemetry.trace_context import Remote, UnrecordedTrace, fresh_ids, remote, state_members, unrecorded
from app.core.ports.telemetry import Delivery, Trace

MOST_IN_CHUNK = 256
_SLICE = 64
_PAUSE_SECONDS = 0.0002
_ALL = 1 << 64
_RATIO_MASK = _ALL - 1  # the sampler looks at the low half of the trace id, so that others decide alike


class Sampling(NamedTuple):
    """A head sampler of the specification: `OTEL_TRACES_SAMPLER` and its argument."""

    bound: int = _ALL
    """Traces whose id's low half is below it are taken."""
    parent_decides: bool = True

    @classmethod
    def named(cls, name: str, argument: str) -> "Sampling":
        """Read it as the SDK does: an unknown sampler is `parentbased_always_on`, an unreadable ratio is 1."""
        root = name.removeprefix("parentbased_")
        if root not in {"always_on", "always_off", "traceidratio"}:
            return cls()
        bound = {"always_on": _ALL, "always_off": 0}.get(root, _ALL)
        if root == "traceidratio":
            try:
                bound = TraceIdRatioBased(float(argument)).bound
            except ValueError:
                bound = _ALL
        return cls(bound, name != root)


class CompactRecorder(Recorder):
    """Keeps records for the thread, which sends them; `turned_away` counts requests without."""

    def __init__(
        self,
        sampling: Sampling,
        writer: SpanWriter,
        envelope: Envelope,
        sender: Sender,
        watch: Watch,
        *,
        incoming: Incoming,
        most_waiting: int,
        delay_seconds: float,
    ) -> None:
        """`most_waiting` counts spans, and every request for as many as it may have."""
        self._bound, self._parent_decides = sampling
        self._continues = incoming == "parent"
        self._most = max(most_waiting // MOST_SPANS, 1)
        self._queue: deque[Delivery] = deque()
        self.turned_away = 0
        self._writer = writer
        self._envelope = envelope
        self._sender = sender
        self._watch = watch
        self._delay = delay_seconds
        self._wake = threading.Event()
        self._closing = False
        self.thread = threading.Thread(target=self._run, name="compact-spans", daemon=True)
        self.thread.start()

    def start(self, method: str, traceparent: str | None, tracestate: str | None, started_ns: int) -> Trace:
        """Draw ids; only ids are given while the thread does not keep up, or where the sampler says no."""
        claimed = remote(traceparent) if traceparent else None
        if len(self._queue) >= self._most or self._closing:
            self.turned_away += 1
            return unrecorded(claimed if self._continues else None)
        ids = fresh_ids().hex()
        if claimed is None:
            return self._root(ids, None)
        if not self._continues:
            return self._root(ids, claimed)
        trace_id = claimed.trace_id
        taken = claimed.flags & 1 if self._parent_decides else int(trace_id, 16) & _RATIO_MASK < self._bound
        if not taken:
            return UnrecordedTrace(trace_id, f"00-{trace_id}-{ids[32:]}-00")
        return CompactTrace(trace_id + ids[32:], parent=claimed, members=state_members(tracestate))

    def _root(self, ids: str, linked: Remote | None) -> Trace:
        if self._bound == _ALL or int(ids[16:32], 16) < self._bound:
            return CompactTrace(ids, linked)
        return UnrecordedTrace(ids[:32], f"00-{ids[:32]}-{ids[32:]}-00")

    def record(self, delivery: Delivery) -> None:
        """Keep a record for the thread, or turn it away."""
        if not isinstance(delivery.trace, CompactTrace):
            return
        waiting = len(self._queue)
        if waiting >= self._most or self._closing:
            self.turned_away += 1
            return
        self._queue.append(delivery)
        if waiting + 1 >= MOST_IN_CHUNK and not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Let the thread send what waits and end; `thread` may be joined."""
        self._closing = True
        self._wake.set()

    def abort(self) -> None:
        """Give up what is not sent yet."""
        self._sender.abort()

    def _run(self) -> None:
        while not self._closing:
            woken = self._wake.wait(self._delay)
            self._wake.clear()
            # A chunk that is not full waits for its turn; the rest is for the end.
            while self._queue and (not woken or len(self._queue) >= MOST_IN_CHUNK):
                self._send(self._take())
                woken = True
        while self._queue:
            self._send(self._take())
        self._sender.close()

    def _take(self) -> list[Delivery]:
        return [self._queue.popleft() for _ in range(min(len(self._queue), MOST_IN_CHUNK))]

    def _send(self, records: list[Delivery]) -> None:
        """Write a chunk and send it; nothing of it may end the thread."""
        spans: list[bytes] = []
        count = 0
        for place, delivery in enumerate(records):
            if place % _SLICE == _SLICE - 1 and not self._closing:
                time.sleep(_PAUSE_SECONDS)
            mark = len(spans)
            try:
                if isinstance(delivery.trace, CompactTrace):
                    count += self._writer.write(delivery, delivery.trace, spans)
            except Exception as error:  # noqa: BLE001 (one odd record costs only itself)
                del spans[mark:]
                self._watch.lost += 1
                self._watch.trouble(type(error).__name__)
        if count and not self._deliver(self._envelope.wrap(spans)):
            self._watch.lost += count

    def _deliver(self, body: bytes) -> bool:
        try:
            return self._sender.send(body, self._watch)
        except Exception as error:  # noqa: BLE001 (a fault of ours; the next chunk may do better)
            self._watch.trouble(type(error).__name__)
            return False
