"""Spans on their way out: a bounded queue that counts what it drops, and an exporter that says once that it fails."""

import logging
import time
from collections.abc import Sequence

import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from app.adapters.telemetry import catalog

# Where the SDK writes of failed exports: a line or more a batch, folded here into one a minute.
_CHATTY = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")


class WatchedExporter(SpanExporter):
    """An exporter whose failures are counted and told sparingly. `taken` and `lost` count spans."""

    def __init__(self, exporter: SpanExporter, *, endpoint: str, hint: str, every_seconds: float) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._hint = hint
        self._every = every_seconds
        self._silent_until = float("-inf")
        self.failing = False
        self._told_lost = 0
        self.taken = 0
        self.lost = 0
        self._eavesdropper = _Eavesdropper(self)
        for name in _CHATTY:
            logging.getLogger(name).addFilter(self._eavesdropper)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; called by one thread at a time, and never by one that answers requests."""
        self.taken += len(spans)
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is not SpanExportResult.SUCCESS:
                self.lost += len(spans)
                self.trouble("the export failed")
            elif self.failing:
                self.failing = False
                self._silent_until = float("-inf")
                structlog.get_logger().info(catalog.EXPORT_RECOVERED.name, endpoint=self._endpoint)
        return result

    def trouble(self, reason: str) -> None:
        """Tell that spans do not get through, unless that was told lately."""
        self.failing = True
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + self._every
            lost, self._told_lost = self.lost - self._told_lost, self.lost
            structlog.get_logger().warning(
                catalog.EXPORT_FAILED.name,
                endpoint=self._endpoint,
                reason=reason,
                spans_lost=lost,
                hint=self._hint,
            )

    def shutdown(self) -> None:
        """Give up what is under way."""
        self._exporter.shutdown()

    def quiet(self) -> None:
        """Leave the SDK's loggers as they were."""
        for name in _CHATTY:
            logging.getLogger(name).removeFilter(self._eavesdropper)


class _Eavesdropper(logging.Filter):
    """Takes the SDK's complaints out of the log, and the reason out of them."""

    def __init__(self, exporter: WatchedExporter) -> None:
        super().__init__()
        self._exporter = exporter

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        self._exporter.trouble(_reason(record))
        return False


def _reason(record: logging.LogRecord) -> str:
    """Say what went wrong without an exception's text, which may hold an address with a key in it."""
    args = record.args if isinstance(record.args, tuple) else ()
    for arg in args:
        if isinstance(arg, BaseException):
            return type(arg).__name__
    if record.exc_info and record.exc_info[0]:
        return record.exc_info[0].__name__
    # What is left is a status code, the answer's reason phrase, and the kind of thing that was sent.
    status = [str(arg)[:80] for arg in args if isinstance(arg, str | int) and arg != "spans"]
    return " ".join(status) or record.getMessage()[:80]


class CountingProcessor(BatchSpanProcessor):
    """The SDK's batches behind a door that shuts before their queue overflows, and counts who stays outside."""

    def __init__(self, exporter: WatchedExporter, *, most_waiting: int, most_in_batch: int) -> None:
        super().__init__(exporter, max_queue_size=most_waiting, max_export_batch_size=most_in_batch)
        self._watched = exporter
        self._most = most_waiting
        self._let_in = 0
        self._closed = False
        self.turned_away = 0

    def room(self, spans: int) -> bool:
        """Tell whether that many spans would fit; what is being exported still counts as waiting."""
        return not self._closed and self._let_in - self._watched.taken + spans <= self._most

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span, or count it as dropped."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if not self.room(1):
            self.turned_away += 1
            return
        self._let_in += 1
        super().on_end(span)

    def shutdown(self) -> None:
        """Export what waits; may take long, see `Tracing.shutdown`."""
        self._closed = True
        super().shutdown()  # type: ignore[no-untyped-call]
