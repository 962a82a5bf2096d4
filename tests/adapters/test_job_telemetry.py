"""What is told of executions: spans at a real collector, metrics and one line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.adapters.telemetry import catalog
from app.adapters.telemetry.job_metrics import JobMetrics
from app.adapters.telemetry.job_records import RecordedJobs
from app.adapters.telemetry.tracing import open_tracing
from app.core.domain.connector import Failed, Failure
from app.core.domain.ids import EventId, JobId
from app.core.domain.job import ExecutionStatus
from app.core.ports.inbox import InboxEvent
from app.core.ports.job_claims import ClaimedJob
from app.core.ports.job_telemetry import ExecutionRecord, StepAttempt
from tests.jobs import STEPS
from tests.otlp_receiver import Received, otlp_receiver

MS = 1_000_000
T0 = 1_795_000_000_000_000_000
SENDER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BEFORE = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
EVENT = EventId("01a21582-9295-7fc2-9265-e76eb7311e78")
JOB = ClaimedJob(
    JobId("01a21591-4fca-7875-82bb-6b5062cef608"), "token", 2, 1, 0, None, "crm", STEPS, (), '"canary"', EVENT, None,
    None, None, SENDER, BEFORE, 0.25,
)  # fmt: skip


@dataclass
class Waiting:
    open_jobs: Mapping[str, int] = field(default_factory=lambda: {"pending": 3, "retrying": 1})
    oldest_seconds: float = 12.5
    inbox: int = 7


@dataclass
class Told:
    metrics: JobMetrics = field(default_factory=lambda: JobMetrics(Waiting()))
    lines: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def log(self, level: str, fields: Mapping[str, object]) -> None:
        self.lines.append((level, dict(fields)))

    def executed(self, telemetry: RecordedJobs, failed: Failed | None = None) -> ExecutionRecord:
        """An execution of 9 ms with one try of 4 ms."""
        record = ExecutionRecord(JOB, telemetry.begin(JOB, T0), T0)
        trace = telemetry.begin_step(record.trace, "first", T0 + MS)
        record.steps.append(StepAttempt("first", "crm", "http", "post", 2, trace, T0 + MS, T0 + 5 * MS, failed))
        record.ended_ns = T0 + 9 * MS
        record.status = ExecutionStatus.FAILED if failed else ExecutionStatus.COMPLETED
        record.delay_seconds = 4.0 if failed else None
        telemetry.finish(record)
        return record

    def samples(self) -> dict[tuple[str, str], float]:
        return {
            (sample.name, ",".join(value for name, value in sample.labels.items() if name != "le")): sample.value
            for family in text_string_to_metric_families(self.metrics.render().decode())
            for sample in family.samples
            if sample.labels.get("le", "+Inf") == "+Inf"
        }


FAILED = Failed(Failure.THROTTLED, "http_429", "crm wants fewer: canary")


def test_an_execution_is_one_line_without_what_the_job_is_about() -> None:
    told = Told()
    record = told.executed(RecordedJobs(None, told.metrics, told.log))
    told.executed(RecordedJobs(None, told.metrics, told.log), FAILED)
    (level, line), (worse, other) = told.lines
    assert (level, worse) == ("info", "warning")
    assert line == {
        "event": "execution.ended",
        "job_id": JOB.id,
        "event_id": EVENT,
        "flow": "",
        "connection": "crm",
        "attempt": 2,
        "outcome": "completed",
        "steps": 1,
        "waited_ms": 250.0,
        "total_ms": 9.0,
        "trace_id": record.trace.trace_id,
    }
    assert record.trace.trace_id == SENDER.split("-")[1]
    assert (other["outcome"], other["code"], other["retry_in_s"]) == ("failed", "http_429", 4.0)
    assert set(line) | set(other) == {"event", *catalog.EXECUTION_ENDED.fields}
    assert "canary" not in repr(told.lines)


def test_executions_tries_and_what_waits_are_counted() -> None:
    told = Told()
    telemetry = RecordedJobs(None, told.metrics, told.log)
    told.executed(telemetry)
    told.executed(telemetry, FAILED)
    told.metrics.running, told.metrics.leases_lost = lambda: 5, lambda: 2
    event = InboxEvent(EVENT, "shop", None, None, b"", SENDER)
    telemetry.planned(event, [JOB.id], T0, T0 + MS)
    telemetry.planned(event, [], T0, T0 + MS)
    samples = told.samples()
    assert samples["opsconnect_executions_total", "completed"] == samples["opsconnect_executions_total", "failed"] == 1
    assert samples["opsconnect_steps_total", "http,throttled"] == samples["opsconnect_steps_total", "http,done"] == 1
    assert samples["opsconnect_step_seconds_sum", "http"] == pytest.approx(0.008)
    assert samples["opsconnect_job_wait_seconds_count", ""] == 2
    assert samples["opsconnect_events_planned_total", "some"] == samples["opsconnect_events_planned_total", "none"] == 1
    assert samples["opsconnect_open_jobs", "pending"] == 3
    assert samples["opsconnect_queue_age_seconds", ""] == 12.5
    assert samples["opsconnect_inbox_events", ""] == 7
    assert samples["opsconnect_running_jobs", ""] == 5
    assert samples["opsconnect_leases_lost_total", ""] == 2


def test_a_record_that_cannot_be_told_costs_the_job_nothing() -> None:
    told = Told()

    def full(_level: str, _fields: Mapping[str, object]) -> None:
        raise OSError("canary")

    told.executed(RecordedJobs(None, told.metrics, full))


def spans_of(monkeypatch: pytest.MonkeyPatch, failed: Failed | None = None) -> dict[str, Received]:
    told = Told()
    with otlp_receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        tracing = open_tracing(version="1")
        telemetry = RecordedJobs(tracing.provider, told.metrics, told.log)
        telemetry.planned(InboxEvent(EVENT, "shop", None, None, b"", SENDER), [JOB.id], T0 - 5 * MS, T0 - 2 * MS)
        told.executed(telemetry, failed)
        assert tracing.shutdown(10.0)
        return {span.name: span for span in receiver.spans}


def test_planning_execution_and_try_go_on_in_the_event_s_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = spans_of(monkeypatch)
    assert set(spans) == {"plan", "execute crm", "step first"}
    assert {span.trace_id for span in spans.values()} == {SENDER.split("-")[1]}
    plan, execution, step = spans["plan"], spans["execute crm"], spans["step first"]
    assert plan.parent_id == execution.parent_id == SENDER.split("-")[2]
    assert step.parent_id == execution.span_id
    assert execution.links == [(BEFORE.split("-")[1], BEFORE.split("-")[2])]
    for entry, span in ((catalog.PLAN, plan), (catalog.EXECUTE, execution), (catalog.STEP, step)):
        assert re.fullmatch(re.sub(r"\\\{\w+\\\}", ".+", re.escape(entry.name)), span.name)
        assert span.kind == entry.kind
        assert set(span.attributes) <= set(entry.attributes)
    assert (step.started_ns, step.ended_ns) == (T0 + MS, T0 + 5 * MS)
    assert "error.type" not in step.attributes


def test_a_failure_shows_on_the_try_and_on_the_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = spans_of(monkeypatch, replace(FAILED, message="canary"))
    for name in ("execute crm", "step first"):
        assert spans[name].attributes["error.type"] == "http_429"
        assert spans[name].failed
    assert "canary" not in repr(spans)
