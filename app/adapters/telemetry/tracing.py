"""The OpenTelemetry SDK as it is set up here: configured by `OTEL_*`, never global, never in the way of the exit."""

import os
import threading
import time
import uuid
from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import structlog
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanLimits, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, get_current_span

from app.adapters.telemetry import catalog
from app.adapters.telemetry.compact_recorder import CompactRecorder, Sampling
from app.adapters.telemetry.compact_spans import SpanWriter
from app.adapters.telemetry.exporting import Collector, CountingProcessor, Watch, WatchedExporter
from app.adapters.telemetry.intake_spans import SCOPE
from app.adapters.telemetry.otlp_encoding import Envelope, Limits
from app.adapters.telemetry.otlp_sender import Sender, target_of_environment
from app.adapters.telemetry.recorder import Incoming, NoSpans, Recorder
from app.adapters.telemetry.sdk_recorder import SdkRecorder
from app.adapters.telemetry.trace_context import remote, unrecorded

if TYPE_CHECKING:
    from fastapi import FastAPI  # workers are traced without it, and start sooner

MOST_WAITING_SPANS = 8192  # the SDK's 2,048 last half a second under load, less than one slow export
MOST_SPANS_IN_BATCH = 512
MOST_WAITING_COMPACT_SPANS = 32_768  # a busy process makes 8,192 in an eighth of a second
COMPACT_DELAY_MILLISECONDS = 1000  # where it is quiet; load makes chunks sooner
HOPELESS_SECONDS = 0.3
RecorderName = Literal["compact", "sdk"]
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Tracing:
    """What was set up: the recorder for intake, and the provider for others (None where spans are off)."""

    def __init__(
        self,
        recorder: Recorder,
        provider: TracerProvider | None = None,
        processor: CountingProcessor | None = None,
        exporter: WatchedExporter | None = None,
        collector: Collector | None = None,
    ) -> None:
        self.recorder = recorder
        self.provider = provider
        self._compact = recorder if isinstance(recorder, CompactRecorder) else None
        self._processor = processor
        self._exporter = exporter
        self._collector = collector

    def dropped(self) -> Mapping[str, int]:
        """How many spans reached no collector, by reason; see the catalogue."""
        if self._processor is None or self._collector is None:
            return {}
        turned_away = self._processor.turned_away + (self._compact.turned_away if self._compact else 0)
        return {"queue": turned_away, "export": self._collector.lost}

    def shutdown(self, seconds: float) -> bool:
        """Export what waits, for at most so many seconds; blocks. False where time ran out first.

        The SDK's own shutdown joins its thread for 30 s and cannot interrupt a request to a collector that says
        nothing; so it runs on a thread that nobody waits for at exit.
        """
        if self.provider is None or self._exporter is None or self._collector is None:
            return True
        closer = threading.Thread(target=self.provider.shutdown, name="telemetry-exit", daemon=True)
        closer.start()
        threads = [closer]
        if self._compact is not None:
            self._compact.close()
            threads.append(self._compact.thread)
        until = time.monotonic() + seconds
        while (alive := [thread for thread in threads if thread.is_alive()]) and time.monotonic() < until:
            if self._collector.failing:  # what does not get through now will hardly do so in the seconds that are left
                _join(alive, min(until, time.monotonic() + HOPELESS_SECONDS))
                break
            _join(alive, min(until, time.monotonic() + 0.05))
        if any(thread.is_alive() for thread in threads):
            # Wakes a retry from its pause; what is still queued fails at once, and nobody needs to read of it.
            self._exporter.shutdown()
            if self._compact is not None:
                self._compact.abort()
            return False
        self._exporter.quiet()
        return True


def open_tracing(
    *, version: str, incoming: Incoming = "link", scheme: str = "http", recorder: RecorderName = "compact"
) -> Tracing:
    """Set spans up as the `OTEL_*` variables say. Without any, they go to the SDK's default endpoint.

    Nothing connects here: the threads that send do, with their first batch. `scheme` is how clients reach this service;
    `recorder` makes the spans of intake, and those of others are the SDK's in any case.
    """
    if _variable("OTEL_SDK_DISABLED") == "true" or _variable("OTEL_TRACES_EXPORTER") == "none":
        return Tracing(NoSpans(incoming))
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # slow to import

    _warn_of_settings()
    chosen = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
    collector = Collector(
        endpoint=_host(chosen or "http://localhost:4318"),
        configured=bool(chosen),
        hint="is the collector up? OTEL_SDK_DISABLED=true switches spans off"
        if chosen
        else "no collector was configured: set OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_SDK_DISABLED=true for no spans",
        every_seconds=60.0 if chosen else 3600.0,
    )
    exporter = WatchedExporter(OTLPSpanExporter(), collector.watch())
    most_waiting = _count("OTEL_BSP_MAX_QUEUE_SIZE", MOST_WAITING_SPANS)
    most_in_batch = min(_count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", MOST_SPANS_IN_BATCH), most_waiting)
    processor = CountingProcessor(exporter, most_waiting=most_waiting, most_in_batch=most_in_batch)
    both = SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call]
    both.add_span_processor(processor)
    resource = _resource(version)
    # An exit handler of the SDK's would wait for the collector, without a limit of ours.
    provider = TracerProvider(resource=resource, active_span_processor=both, shutdown_on_exit=False)
    made: Recorder
    if recorder == "compact":
        made = _compact(version, resource, collector.watch(), incoming, scheme)
    else:
        batches = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, active_span_processor=both, shutdown_on_exit=False
        )  # fmt: skip
        made = SdkRecorder(provider, batches, processor, incoming=incoming, scheme=scheme)
    return Tracing(made, provider, processor, exporter, collector)


def _compact(version: str, resource: Resource, watch: Watch, incoming: Incoming, scheme: str) -> CompactRecorder:
    limits = SpanLimits()
    return CompactRecorder(
        Sampling.named(_variable("OTEL_TRACES_SAMPLER"), os.environ.get("OTEL_TRACES_SAMPLER_ARG", "")),
        SpanWriter(scheme, Limits(limits.max_span_attributes, limits.max_span_attribute_length, limits.max_links)),
        Envelope(resource, SCOPE),
        Sender(target_of_environment(f"opsconnect-otlp-python/{version}")),
        watch,
        incoming=incoming,
        most_waiting=_count("OTEL_BSP_MAX_QUEUE_SIZE", MOST_WAITING_COMPACT_SPANS),
        delay_seconds=_count("OTEL_BSP_SCHEDULE_DELAY", COMPACT_DELAY_MILLISECONDS) / 1000,
    )


def instrument(app: "FastAPI", tracing: Tracing) -> None:
    """Trace the requests that FastAPI serves, in stable names, and note their trace id for log lines.

    Call it before the app serves. OTEL_PYTHON_FASTAPI_EXCLUDED_URLS says what is left out; else nothing is.
    """
    if tracing.provider is None:
        return
    # Read once in a process, at the first instrumentation.
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # reads variables when imported

    FastAPIInstrumentor.instrument_app(
        app,
        tracer_provider=tracing.provider,
        meter_provider=NoOpMeterProvider(),  # we have metrics of our own
        exclude_spans=["send", "receive"],
        server_request_hook=_request_seen,
    )


def current_traceparent() -> str:
    """Give the W3C context of the request that is being served, for the work that continues it.

    Where there are no spans it has the trace id of the request's log lines, and says that nobody records it.
    """
    span = get_current_span().get_span_context()
    if span.is_valid:
        return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags & 1:02x}"
    nobodys = unrecorded().traceparent
    logged = structlog.contextvars.get_contextvars().get("trace_id")
    same = remote(f"00-{logged}{nobodys[35:]}")
    return nobodys if same is None else unrecorded(same).traceparent


def _request_seen(span: Span, scope: MutableMapping[str, Any]) -> None:
    structlog.contextvars.bind_contextvars(trace_id=f"{span.get_span_context().trace_id:032x}")
    if scope.get("query_string") and span.is_recording():
        span.set_attribute("url.query", "REDACTED")  # it may hold an address of a person, or a key


def _join(threads: Sequence[threading.Thread], until: float) -> None:
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0.0))


def _resource(version: str) -> Resource:
    ours = Resource.create(
        {"service.name": catalog.SERVICE, "service.version": version, "service.instance.id": str(uuid.uuid4())}
    )
    whole = ours.merge(OTELResourceDetector().detect())  # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the word
    return _Resource(whole)


class _Resource(Resource):
    """A resource that knows its hash, for which the encoder asks once a span; the SDK's writes JSON each time."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(dict(resource.attributes), resource.schema_url)
        self._hash = super().__hash__()

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)


def _warn_of_settings() -> None:
    log = structlog.get_logger()
    if _variable("OTEL_TRACES_EXPORTER") not in {"", "otlp"}:
        log.warning(catalog.SETTING_IGNORED.name, variable="OTEL_TRACES_EXPORTER", hint="it knows otlp and none")
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if _variable(name) not in {"", "http/protobuf"}:
            log.warning(catalog.SETTING_IGNORED.name, variable=name, hint="spans go by http/protobuf, to port 4318")


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip().lower()


def _count(name: str, default: int) -> int:
    text = _variable(name)
    return int(text) if text.isdecimal() and int(text) > 0 else default


def _host(endpoint: str) -> str:
    """Name a collector without the user, password or key that its address may hold."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
