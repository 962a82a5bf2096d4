"""Jobs as they are shown: in a list, whole, at their event, and a run of the pipeline."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from app.adapters.web.shown import rfc3339
from app.core.domain.job import Execution, ExecutionStatus, Job, JobStatus
from app.core.domain.step import StepRecord, StepStatus


class EventJob(BaseModel):
    """One job at its event. `attempt`: executions so far."""

    job_id: str
    status: JobStatus
    connector_name: str
    flow: str | None
    attempt: int
    created_at: str
    updated_at: str
    error_message: str | None


class JobSummary(EventJob):
    """One job in a list.

    `run`: 1, and one more for each time that it was run again after it was completed. `due_at`: when it is tried again,
    while it is retrying. `fingerprint`: what failures of the same kind have in common, once it has failed for good.
    """

    run: int
    due_at: str | None
    event_id: str | None
    trace_id: str
    fingerprint: str | None


class JobList(BaseModel):
    """A page of jobs, newest first. `total` is counted to 10,000; if there are more, `total_is_exact` is false."""

    items: list[JobSummary]
    total: int
    total_is_exact: bool
    limit: int
    offset: int


class StepDetail(BaseModel):
    """One step in the present run. `code`: the short word of its last failure; `tries`: within its retry policy.

    `key`: the idempotency key of its effect, as the other side was told it; null before there was a try.
    """

    name: str
    status: StepStatus
    output: Any
    error_message: str | None
    code: str | None
    tries: int
    key: str | None


class ExecutionDetail(BaseModel):
    """One claim of the job by a worker."""

    attempt: int
    status: ExecutionStatus
    started_at: str
    finished_at: str | None
    output: Any
    error_message: str | None


class JobDetail(JobSummary):
    """One job whole. `result`: the output of the last step that is done, so partial until the job is completed.

    `payload`: what it was started with, or the body of its event, parsed. `executions`: the newest hundred.
    """

    payload: Any
    result: Any
    steps: list[StepDetail]
    executions: list[ExecutionDetail]


class PipelineStatus(StrEnum):
    """Where a run of the pipeline stands: a job's states, in fewer words."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    ERROR = "error"


PIPELINE_STATUS: Mapping[JobStatus, PipelineStatus] = MappingProxyType(
    {
        JobStatus.PENDING: PipelineStatus.PENDING,
        JobStatus.IN_PROGRESS: PipelineStatus.IN_PROGRESS,
        JobStatus.RETRYING: PipelineStatus.IN_PROGRESS,
        JobStatus.WAITING: PipelineStatus.IN_PROGRESS,
        JobStatus.COMPLETED: PipelineStatus.COMPLETED,
        JobStatus.ERROR: PipelineStatus.ERROR,
        JobStatus.CANCELLED: PipelineStatus.ERROR,
    }
)


class PipelineRun(BaseModel):
    """One run. `result` is that of the last step that is done: partial while it runs, null before the first."""

    job_id: str
    status: PipelineStatus
    result: int | None
    error_message: str | None


def of_event(job: Job) -> dict[str, Any]:
    """Show a job at its event."""
    return {
        "job_id": job.id,
        "status": job.status.value,
        "connector_name": job.connector_name,
        "flow": job.flow,
        "attempt": job.attempt,
        "created_at": rfc3339(job.created_at),
        "updated_at": rfc3339(job.updated_at),
        "error_message": job.error_message,
    }


def summary(job: Job) -> dict[str, Any]:
    """Show a job in a list."""
    return {
        **of_event(job),
        "run": job.run,
        "due_at": _time(job.due_at),
        "event_id": job.event_id,
        "trace_id": job.trace_id,
        "fingerprint": job.fingerprint,
    }


def detail(job: Job) -> dict[str, Any]:
    """Show a job whole."""
    return {
        **summary(job),
        "payload": job.payload,
        "result": job.result,
        "steps": [_step(step) for step in job.steps],
        "executions": [_execution(execution) for execution in job.executions],
    }


def pipeline_run(job: Job) -> dict[str, Any]:
    """Show a run of the pipeline."""
    cancelled = "it was cancelled" if job.status is JobStatus.CANCELLED else None
    return {
        "job_id": job.id,
        "status": PIPELINE_STATUS[job.status].value,
        "result": job.result,
        "error_message": job.error_message or cancelled,
    }


def _step(step: StepRecord) -> dict[str, Any]:
    return {
        "name": step.name,
        "status": step.status.value,
        "output": step.output,
        "error_message": step.error_message,
        "code": step.code,
        "tries": step.tries,
        "key": step.key,
    }


def _execution(execution: Execution) -> dict[str, Any]:
    return {
        "attempt": execution.attempt,
        "status": execution.status.value,
        "started_at": rfc3339(execution.started_at),
        "finished_at": _time(execution.finished_at),
        "output": execution.output,
        "error_message": execution.error_message,
    }


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
