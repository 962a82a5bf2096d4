"""Jobs as workers take them: on a lease, with a token that every later write names."""

from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from app.core.domain.connector import Json
from app.core.domain.ids import EventId, JobId
from app.core.domain.job import ExecutionStatus, Move
from app.core.domain.step import StepPlan, StepRecord

SUSPECT_AFTER = 2
"""Losses after which a job runs alone: what it does to its worker it then does to nobody else's job."""
MOST_LOSSES = 5
"""A job that was lost so often is a dead letter."""


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this worker has, and nobody else."""

    id: JobId
    token: str
    attempt: int
    """The number of this execution."""
    run: int
    """1, and one more for each deliberate re-run of the completed job."""
    losses: int
    flow: str | None
    connector_name: str
    plan: tuple[StepPlan, ...]
    steps: tuple[StepRecord, ...]
    """One for each planned step."""
    payload: str | None
    """JSON; None: the event's body."""
    event_id: EventId | None
    event_type: str | None
    body: bytes | None
    content_type: str | None
    traceparent: str
    previous_traceparent: str | None
    """Of the execution before this one."""
    waited_seconds: float
    """Since it was due."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a claimed job got: what is to be seen, and found again if the worker dies."""

    job_id: JobId
    token: str
    steps: tuple[StepRecord, ...]
    result: Json = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an execution ended, and what becomes of its job."""

    job_id: JobId
    token: str
    attempt: int
    move: Move
    """COMPLETE, POSTPONE, FAIL, PARK or RETURN."""
    execution: ExecutionStatus
    steps: tuple[StepRecord, ...] | None
    """None: as far as it was recorded, with its result."""
    result: Json = None
    error_message: str | None = None
    fingerprint: str | None = None
    delay_seconds: float = 0.0
    """Until the next try, with POSTPONE."""
    traceparent: str | None = None
    """Of this execution."""


class Rescued(NamedTuple):
    """What was taken from workers whose lease had ended."""

    workers: int
    retrying: int
    dead: int
    suspects: int = 0
    """Jobs that are due and may only run alone."""


class JobClaims(Protocol):
    """The open jobs, shared by every worker on one database, by its clock. Safe to call from many at once."""

    @abstractmethod
    async def claim(self, worker: str, most: int, *, suspect: bool = False) -> Sequence[ClaimedJob]:
        """Take up to so many jobs that are due: the execution is counted, and that is committed, before this returns.

        Fresh jobs come in the order of their ids; of a batch, those that are tried again get half, where there are as
        many, so that neither waits behind the other's backlog. `suspect`: only such as were lost `SUSPECT_AFTER` times
        or more; else none of these. A worker whose lease has ended gets nothing. Raises `Unavailable` or
        `OutcomeUnknown`; what was claimed then comes back at the next claim, or when the lease ends.
        """

    @abstractmethod
    async def record(self, progress: Sequence[Progress]) -> Collection[JobId]:
        """Keep how far these got, committed when this returns; give those that are still this worker's.

        For the others nothing was kept, and their worker must stop. Raises `Unavailable`, `OutcomeUnknown`, or
        `RowFault` when nothing was kept because of one of them.
        """

    @abstractmethod
    async def settle(self, settlements: Sequence[Settlement]) -> Collection[JobId]:
        """End these executions, move their jobs and, where it was the last, the state of their events: all committed.

        Gives those that were still this worker's; for the others nothing was changed. Settling the same again changes
        nothing. Raises `Unavailable`, `OutcomeUnknown`, or `RowFault` when nothing was changed because of one of them.
        """

    @abstractmethod
    async def rescue(self) -> Rescued:
        """Take every job from workers whose lease has ended: it is tried again, or dead when lost too often.

        Raises `Unavailable` or `OutcomeUnknown`.
        """
