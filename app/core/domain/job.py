"""A job: one run of a flow, or of one connector, on one payload; and the states that it may go through."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from app.core.domain.connector import Json
from app.core.domain.ids import EventId, JobId
from app.core.domain.step import StepPlan, StepRecord


class JobStatus(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    """Waits for a worker."""
    IN_PROGRESS = "in_progress"
    """A worker has it, on a lease."""
    RETRYING = "retrying"
    """Waits until its next try is due."""
    WAITING = "waiting"
    """Parked for a person: nobody knows whether an action that must not be repeated was carried out."""
    COMPLETED = "completed"
    ERROR = "error"
    """A dead letter: it failed for good, and a person decides."""
    CANCELLED = "cancelled"


class Move(StrEnum):
    """What can happen to a job."""

    CLAIM = "claim"
    """A worker takes it: a new execution."""
    COMPLETE = "complete"
    """Its last step is done."""
    POSTPONE = "postpone"
    """A step failed, and may be tried again."""
    FAIL = "fail"
    """A step failed for good, or there are no tries left."""
    PARK = "park"
    """A step's outcome is not known, and it must not be run again blindly."""
    RETURN = "return"
    """The worker leaves before it was done with it."""
    LOSE = "lose"
    """The worker's lease ended: it died, froze or was cut off."""
    CANCEL = "cancel"
    """An operator wants it no more."""
    RERUN = "rerun"
    """An operator wants it run now: resumed at the step that failed, or, if it was completed, from its first step."""


_S, _M = JobStatus, Move
TRANSITIONS: Mapping[tuple[JobStatus, Move], JobStatus] = MappingProxyType(
    {
        (_S.PENDING, _M.CLAIM): _S.IN_PROGRESS,
        (_S.PENDING, _M.CANCEL): _S.CANCELLED,
        (_S.IN_PROGRESS, _M.COMPLETE): _S.COMPLETED,
        (_S.IN_PROGRESS, _M.POSTPONE): _S.RETRYING,
        (_S.IN_PROGRESS, _M.FAIL): _S.ERROR,
        (_S.IN_PROGRESS, _M.PARK): _S.WAITING,
        (_S.IN_PROGRESS, _M.RETURN): _S.PENDING,
        (_S.IN_PROGRESS, _M.LOSE): _S.RETRYING,
        (_S.RETRYING, _M.CLAIM): _S.IN_PROGRESS,
        (_S.RETRYING, _M.CANCEL): _S.CANCELLED,
        (_S.RETRYING, _M.FAIL): _S.ERROR,
        (_S.RETRYING, _M.RERUN): _S.PENDING,
        (_S.WAITING, _M.CANCEL): _S.CANCELLED,
        (_S.WAITING, _M.RERUN): _S.PENDING,
        (_S.COMPLETED, _M.RERUN): _S.PENDING,
        (_S.ERROR, _M.RERUN): _S.PENDING,
        (_S.CANCELLED, _M.RERUN): _S.PENDING,
    }
)
"""Every legal move, and where it leads; what is not here is refused. `docs/event-lifecycle.md` draws it."""

OPEN = frozenset({JobStatus.PENDING, JobStatus.IN_PROGRESS, JobStatus.RETRYING, JobStatus.WAITING})
FINISHED = frozenset(JobStatus) - OPEN


def origins(move: Move) -> frozenset[JobStatus]:
    """Give the states from which a move is legal."""
    return frozenset(status for status, legal in TRANSITIONS if legal is move)


class ExecutionStatus(StrEnum):
    """How one claim of a job stands, or ended."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    PARKED = "parked"
    RETURNED = "returned"
    """The worker left before it was done; nothing had failed."""
    LOST = "lost"
    """The worker's lease ended."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One claim of a job by a worker."""

    attempt: int
    """Counted from 1 over the job's whole life."""
    status: ExecutionStatus
    started_at: datetime
    finished_at: datetime | None = None
    output: Json = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be kept."""

    id: JobId
    connector_name: str
    """The connection, or the connector, of its first step; for a flow, that of the flow's first step."""
    steps: tuple[StepPlan, ...]
    flow: str | None = None
    event_id: EventId | None = None
    payload: str | None = None
    """JSON as ASCII text; None: the event's body."""
    traceparent: str = ""
    """The W3C context that it continues."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is looked at."""

    id: JobId
    flow: str | None
    connector_name: str
    status: JobStatus
    attempt: int
    """Executions so far."""
    created_at: datetime
    updated_at: datetime
    event_id: EventId | None
    traceparent: str
    due_at: datetime | None = None
    """When it is tried again; only of one that is retrying."""
    error_message: str | None = None
    fingerprint: str | None = None
    """What failures of the same kind have in common; only of a dead letter."""
    result: Json = None
    """The output of the last step that is done; partial until the job is completed."""
    payload: Json = None
    """None in a list."""
    steps: tuple[StepRecord, ...] = ()
    executions: tuple[Execution, ...] = ()
    """The newest hundred, oldest first; empty in a list."""
    run: int = 1
    """One more for each time that it was run again after it was completed; idempotency keys differ between runs."""

    @property
    def trace_id(self) -> str:
        """Give the trace that it is in: 32 hexadecimal digits."""
        return self.traceparent.split("-")[1] if self.traceparent else ""
