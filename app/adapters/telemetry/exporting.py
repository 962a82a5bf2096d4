"""Spans on their way out: a bounded queue that counts what it drops, and what is told of a collector that fails."""

import logging
import threading
import time
from collections.abc import Sequence

import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from app.adapters.telemetry import catalog

# Where the SDK writes of failed exports: a line or more a batch, folded here into one a minute.
_CHATTY = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")


class Collector:
    """What is known of the collector's health, and told of it sparingly, whoever sends to it."""

    def __init__(self, *, endpoint: str, configured: bool, hint: str, every_seconds: float) -> None:
        self._endpoint = endpoint
        self._configured = configured
        self._hint = hint
        self._every = every_seconds
        self._silent_until = float("-inf")
        self._in_trouble: set[Watch] = set()
        self._watches: list[Watch] = []
        self._told_lost = 0
        self._lock = threading.Lock()

    @property
    def failing(self) -> bool:
        """Whether somebody's last try failed."""
        return bool(self._in_trouble)

    @property
    def lost(self) -> int:
        """Spans that did not arrive."""
        return sum(watch.lost for watch in self._watches)

    def watch(self) -> "Watch":
        """Make the place where one sender tells how it goes."""
        self._watches.append(Watch(self))
        return self._watches[-1]

    def trouble(self, watch: "Watch", reason: str) -> None:
        """Tell that spans do not get through, unless that was told lately."""
        with self._lock:
            self._in_trouble.add(watch)
            now = time.monotonic()
            if now < self._silent_until:
                return
            self._silent_until = now + self._every
            lost = self.lost - self._told_lost
            self._told_lost += lost
        log = structlog.get_logger()
        # Who named no collector is told, but has no trouble.
        (log.warning if self._configured else log.info)(
            catalog.EXPORT_FAILED.name,
            endpoint=self._endpoint,
            reason=reason,
            spans_lost=lost,
            hint=self._hint,
        )

    def fine(self, watch: "Watch") -> None:
        """Tell that spans get through again, when they do for all who send."""
        with self._lock:
            self._in_trouble.discard(watch)
            if self._in_trouble:
                return
            self._silent_until = float("-inf")
        structlog.get_logger().info(catalog.EXPORT_RECOVERED.name, endpoint=self._endpoint)


class Watch:
    """One sender's word on the collector. `lost` counts its spans."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._failing = False
        self.lost = 0

    def trouble(self, reason: str) -> None:
        """Note that spans do not get through."""
        self._failing = True
        self._collector.trouble(self, reason)

    def fine(self) -> None:
        """Note that spans got through."""
        if self._failing:
            self._failing = False
            self._collector.fine(self)


class WatchedExporter(SpanExporter):
    """An exporter whose failures are counted and told sparingly. `taken` counts spans."""

    def __init__(self, exporter: SpanExporter, watch: Watch) -> None:
        self._exporter = exporter
        self._watch = watch
        self.taken = 0
        self._eavesdropper = _Eavesdropper(watch)
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
                self._watch.lost += len(spans)
                self._watch.trouble("the export failed")
            else:
                self._watch.fine()
        return result

    def shutdown(self) -> None:
        """Give up what is under way."""
        self._exporter.shutdown()

    def quiet(self) -> None:
        """Leave the SDK's loggers as they were."""
        for name in _CHATTY:
            logging.getLogger(name).removeFilter(self._eavesdropper)


class _Eavesdropper(logging.Filter):
    """Takes the SDK's complaints out of the log, and the reason out of them."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        self._watch.trouble(_reason(record))
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
