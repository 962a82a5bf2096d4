"""Showing what became of jobs: one record an execution; spans, metrics and a log line are made of it."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.core.domain.connector import Failed
from app.core.domain.ids import JobId
from app.core.domain.job import ExecutionStatus
from app.core.ports.inbox import InboxEvent
from app.core.ports.job_claims import ClaimedJob
from app.core.ports.telemetry import Trace


@dataclass(slots=True)
class StepAttempt:
    """One try at one step. Times: nanoseconds since the epoch."""

    name: str
    use: str
    connector: str
    action: str
    tries: int
    trace: Trace
    started_ns: int
    ended_ns: int = 0
    failed: Failed | None = None
    """None: it is done, or it was cut off."""


@dataclass(slots=True)
class ExecutionRecord:
    """What happened in one claim of a job, written as it goes."""

    job: ClaimedJob
    trace: Trace
    started_ns: int
    steps: list[StepAttempt] = field(default_factory=list)
    ended_ns: int = 0
    status: ExecutionStatus = ExecutionStatus.LOST
    """LOST: another worker has the job by now, or will."""
    delay_seconds: float | None = None
    """Until the next try."""


class JobTelemetry(Protocol):
    """The recorder of workers. Never raises, never waits."""

    @abstractmethod
    def begin(self, job: ClaimedJob, started_ns: int) -> Trace:
        """Open the span of an execution, in the trace of its job, linked to the execution before."""

    @abstractmethod
    def begin_step(self, execution: Trace, name: str, started_ns: int) -> Trace:
        """Open the span of one try at a step, whose context goes along to the other side."""

    @abstractmethod
    def finish(self, record: ExecutionRecord) -> None:
        """Take the record of an execution that has ended; it must not be changed afterwards."""

    @abstractmethod
    def planned(self, event: InboxEvent, jobs: Sequence[JobId], started_ns: int, ended_ns: int) -> None:
        """Tell that an event was planned: as these jobs, or none."""
