"""The telemetry port as the container uses it: records are taken at once, and told of when the answers are out.

`finish` only appends to a list. The first record of a burst asks the loop for one turn, which comes after the answers
of the same batch were handed to their sockets; that turn makes spans, metrics and lines of at most `SLICE` records,
writes the lines at once, and asks for another turn if more wait, so that the loop is never held for long.
"""

import asyncio
import contextlib
import time
import traceback
from collections import deque

import structlog

from app.adapters.telemetry import catalog
from app.adapters.telemetry.canonical_log import CanonicalLog
from app.adapters.telemetry.metrics import IntakeMetrics
from app.adapters.telemetry.recorder import Recorder, Seen
from app.adapters.telemetry.trace_context import unrecorded
from app.core.ports.telemetry import Delivery, Telemetry, Trace

SLICE = 64
MOST_WAITING = 8192
_COMPLAIN_SECONDS = 60.0


class RecordedIntake(Telemetry):
    """Spans, metrics and one line a request. Belongs to one event loop."""

    def __init__(
        self, recorder: Recorder, metrics: IntakeMetrics, log: CanonicalLog, *, most_waiting: int = MOST_WAITING
    ) -> None:
        self._recorder = recorder
        self._metrics = metrics
        self._log = log
        self._most = most_waiting
        self._waiting: deque[Delivery] = deque()
        self._turn_asked = False
        self._silent_until = float("-inf")

    def start(self, method: str, traceparent: str | None, tracestate: str | None, started_ns: int) -> Trace:
        """Open the trace of a request; a fault of ours costs its spans, not the request."""
        try:
            return self._recorder.start(method, traceparent, tracestate, started_ns)
        except Exception as error:  # noqa: BLE001 - the port never raises
            self._complain("start", error)
            return unrecorded()

    def finish(self, delivery: Delivery) -> None:
        """Take the record of an answered request; beyond `most_waiting` it is dropped and counted."""
        if len(self._waiting) >= self._most:
            self._metrics.dropped()
            return
        self._waiting.append(delivery)
        if not self._turn_asked:
            try:
                asyncio.get_running_loop().call_soon(self._turn)
                self._turn_asked = True
            except RuntimeError:
                pass  # no loop, or a closing one: `drain` will find it

    def drain(self) -> None:
        """Tell of everything that waits, now; for the exit."""
        while self._waiting:
            self._tell()

    def _turn(self) -> None:
        self._turn_asked = False
        self._tell()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._turn)
            self._turn_asked = True

    def _tell(self) -> None:
        waiting, metrics = self._waiting, self._metrics
        answered, record, line_of = metrics.answered, self._recorder.record, self._log.line
        lines: list[bytes] = []
        for _ in range(min(SLICE, len(waiting))):
            delivery = waiting.popleft()
            # A fault in one part must not cost the others: a line is worth most when something is wrong.
            try:
                flush = delivery.flush
                if flush is not None and flush.recorded is None:
                    flush.recorded = Seen()
                    metrics.flushed(flush)
                answered(delivery)
            except Exception as error:  # noqa: BLE001
                self._complain("metrics", error)
            try:
                record(delivery)
            except Exception as error:  # noqa: BLE001
                self._complain("spans", error)
            try:
                if line := line_of(delivery):
                    lines.append(line)
            except Exception as error:  # noqa: BLE001
                self._complain("line", error)
        try:
            metrics.count()
        except Exception as error:  # noqa: BLE001
            self._complain("metrics", error)
        try:
            self._log.write(lines)
        except Exception as error:  # noqa: BLE001
            self._complain("log", error)

    def _complain(self, part: str, error: Exception) -> None:
        """Say what failed and where, without the exception's text, which may quote what must not be told."""
        now = time.monotonic()
        if now < self._silent_until:
            return
        self._silent_until = now + _COMPLAIN_SECONDS
        place = traceback.extract_tb(error.__traceback__)[-1]
        with contextlib.suppress(Exception):  # the log itself may be what fails
            structlog.get_logger().warning(
                catalog.TELEMETRY_FAILED.name,
                part=part,
                error=type(error).__name__,
                where=f"{place.name}:{place.lineno}",
            )
