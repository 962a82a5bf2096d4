"""The workers' telemetry: spans by the OpenTelemetry SDK, metrics, and one line an execution.

A job goes on in the trace of the request that brought its event: the span of its planning and those of its executions
are children of that request's span. Each execution is linked to the one before; each try at a step is a client span of
its own, whose context goes along to the other side.
"""

from collections.abc import Callable, Mapping, Sequence

import structlog
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
    set_span_in_context,
)

from app.adapters.telemetry import catalog
from app.adapters.telemetry.canonical_log import Level
from app.adapters.telemetry.job_metrics import JobMetrics
from app.adapters.telemetry.sdk_recorder import SdkTrace
from app.adapters.telemetry.trace_context import clean, remote, unrecorded
from app.core.domain.ids import JobId
from app.core.domain.job import ExecutionStatus
from app.core.ports.inbox import InboxEvent
from app.core.ports.job_claims import ClaimedJob
from app.core.ports.job_telemetry import ExecutionRecord, JobTelemetry, StepAttempt
from app.core.ports.telemetry import Trace

SCOPE = "opsconnect.jobs"
LONGEST_NAME = 128
_NOWHERE = Context()
_WELL = frozenset({ExecutionStatus.COMPLETED, ExecutionStatus.RETURNED})


class RecordedJobs(JobTelemetry):
    """Spans, metrics and one line an execution."""

    def __init__(
        self,
        provider: TracerProvider | None,
        metrics: JobMetrics,
        log: Callable[[Level, Mapping[str, object]], object],
    ) -> None:
        """Without a provider there are no spans. `log` takes a level and the fields of a line."""
        self._tracer = provider.get_tracer(SCOPE) if provider else None
        self._metrics = metrics
        self._log = log

    def begin(self, job: ClaimedJob, started_ns: int) -> Trace:
        """Start the execution's span."""
        name = catalog.EXECUTE.name.replace("{job}", clean(job.flow or job.connector_name, LONGEST_NAME))
        return self._started(name, SpanKind.CONSUMER, job.traceparent, started_ns, job.previous_traceparent)

    def begin_step(self, execution: Trace, name: str, started_ns: int) -> Trace:
        """Start the try's span."""
        name = catalog.STEP.name.replace("{step}", clean(name, LONGEST_NAME))
        return self._started(name, SpanKind.CLIENT, execution.traceparent, started_ns)

    def finish(self, record: ExecutionRecord) -> None:
        """End the spans, count, and write the line; a fault of ours costs the record, not the job."""
        try:
            self._metrics.executed(record)
            well = record.status in _WELL
            if self._tracer:
                for step in record.steps:
                    _end(step.trace, step.ended_ns or record.ended_ns, _of_step(step), step.failed is not None)
                _end(record.trace, record.ended_ns, _of_execution(record), not well)
            self._log("info" if well else "warning", _line(record))
        except Exception as error:  # noqa: BLE001 (the port never raises)
            structlog.get_logger().warning(
                catalog.TELEMETRY_FAILED.name, part="jobs", error=type(error).__name__, where="finish"
            )

    def planned(self, event: InboxEvent, jobs: Sequence[JobId], started_ns: int, ended_ns: int) -> None:
        """Make the span of a plan that made jobs, and count."""
        self._metrics.planned(len(jobs))
        if jobs and self._tracer:
            trace = self._started(catalog.PLAN.name, SpanKind.INTERNAL, event.traceparent, started_ns)
            told: dict[str, str | int] = {
                "opsconnect.source": event.source,
                "opsconnect.event_id": event.id,
                "opsconnect.jobs": len(jobs),
            }
            _end(trace, ended_ns, told, failed=False)

    def _started(self, name: str, kind: SpanKind, parent: str, started_ns: int, linked: str | None = None) -> Trace:
        known = remote(parent)
        if self._tracer is None:
            return unrecorded(known)
        context = set_span_in_context(NonRecordingSpan(_context(parent)), _NOWHERE) if known else _NOWHERE
        links = (Link(_context(linked)),) if linked and remote(linked) else ()
        span = self._tracer.start_span(name, context=context, kind=kind, links=links, start_time=started_ns)
        return SdkTrace(span)


def _context(traceparent: str) -> SpanContext:
    known = remote(traceparent)
    assert known is not None  # noqa: S101 (whoever calls has looked)
    return SpanContext(
        int(known.trace_id, 16), int(known.span_id, 16), is_remote=True, trace_flags=TraceFlags(known.flags & 1)
    )


def _end(trace: Trace, ended_ns: int, attributes: Mapping[str, str | int], failed: bool) -> None:
    span: Span | None = trace.span if isinstance(trace, SdkTrace) else None
    if span is not None:
        span.set_attributes(attributes)
        if failed:
            span.set_status(StatusCode.ERROR)
        span.end(ended_ns)


def _of_execution(record: ExecutionRecord) -> dict[str, str | int]:
    job = record.job
    told: dict[str, str | int | None] = {
        "opsconnect.job_id": job.id,
        "opsconnect.event_id": job.event_id,
        "opsconnect.flow": job.flow,
        "opsconnect.connection": job.connector_name,
        "opsconnect.attempt": job.attempt,
        "opsconnect.outcome": record.status.value,
        "error.type": _code(record),
    }
    return {name: value for name, value in told.items() if value is not None}


def _of_step(step: StepAttempt) -> dict[str, str | int]:
    told: dict[str, str | int] = {
        "opsconnect.step": clean(step.name, LONGEST_NAME),
        "opsconnect.connection": clean(step.use, LONGEST_NAME),
        "opsconnect.connector": step.connector,
        "opsconnect.action": clean(step.action, LONGEST_NAME),
        "opsconnect.tries": step.tries,
    }
    return {**told, "error.type": clean(step.failed.code, LONGEST_NAME)} if step.failed else told


def _code(record: ExecutionRecord) -> str | None:
    """Give the code of the try that ended the execution, or what else did."""
    if record.status in _WELL:
        return None
    last = record.steps[-1].failed if record.steps else None
    return clean(last.code, LONGEST_NAME) if last else record.status.value


def _line(record: ExecutionRecord) -> dict[str, object]:
    job = record.job
    line: dict[str, object] = {
        "event": catalog.EXECUTION_ENDED.name,
        "job_id": job.id,
        "event_id": job.event_id or "",
        "flow": job.flow or "",
        "connection": clean(job.connector_name, LONGEST_NAME),
        "attempt": job.attempt,
        "outcome": record.status.value,
        "steps": len(record.steps),
        "waited_ms": round(job.waited_seconds * 1000, 3),
        "total_ms": max(record.ended_ns - record.started_ns, 0) // 1000 / 1000,
        "trace_id": record.trace.trace_id,
    }
    if (code := _code(record)) is not None:
        line["code"] = code
    if record.delay_seconds is not None:
        line["retry_in_s"] = round(record.delay_seconds, 3)
    return line
