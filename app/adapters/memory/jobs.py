"""What the twins of jobs share: the jobs, the workers' leases, the events that they belong to, and a clock."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.adapters.memory.event_store import MemoryEventStore
from app.core.domain.connector import Json
from app.core.domain.event import EventState
from app.core.domain.ids import EventId, JobId
from app.core.domain.job import OPEN, TRANSITIONS, Execution, JobStatus, Move, NewJob
from app.core.domain.json_text import json_ascii
from app.core.domain.step import StepRecord


def now() -> datetime:
    """Give the time."""
    return datetime.now(UTC)


def kept(value: Json) -> Json:
    """Give a value as it would come back from a database: nobody's list any more, and JSON through and through."""
    return json.loads(json_ascii(value))


@dataclass(slots=True)
class KeptJob:
    """One job, and what changes about it."""

    new: NewJob
    created_at: datetime
    updated_at: datetime
    due_at: datetime
    steps: tuple[StepRecord, ...]
    status: JobStatus = JobStatus.PENDING
    run: int = 1
    attempt: int = 0
    losses: int = 0
    worker: str | None = None
    token: str | None = None
    claimed_at: datetime | None = None
    result: Json = None
    error_message: str | None = None
    fingerprint: str | None = None
    last_traceparent: str | None = None
    executions: list[Execution] = field(default_factory=list)


class Jobs:
    """One database's worth of jobs. Nothing here waits, so nothing comes in between."""

    def __init__(self, events: MemoryEventStore, clock: Callable[[], datetime] = now) -> None:
        self.events = events
        self.clock = clock
        self.kept: dict[JobId, KeptJob] = {}
        self.leases: dict[str, datetime] = {}
        """When each worker's lease ends."""
        self.being_planned = False
        """Whether a worker is at the inbox."""

    def add(self, new: NewJob) -> None:
        """Keep a job, unless it is kept already; its event is received, again or still."""
        if new.id not in self.kept:
            at = self.clock()
            self.kept[new.id] = KeptJob(new, at, at, at, tuple(StepRecord(step.name) for step in new.steps))
            self.reopen_event(new.event_id)

    def move(self, job: KeptJob, move: Move) -> None:
        """Move a job as the table has it. Raises `KeyError` for a move that it has not."""
        job.status = TRANSITIONS[job.status, move]
        job.updated_at = self.clock()
        if job.status not in OPEN:
            self._settle_event(job.new.event_id)

    def reopen_event(self, event_id: EventId | None) -> None:
        """Say of an event that there is something to do for it."""
        if event_id is not None:
            self.events.become(event_id, EventState.RECEIVED)

    def _settle_event(self, event_id: EventId | None) -> None:
        """Say what became of an event, when the last of its jobs is finished."""
        statuses = {job.status for job in self.kept.values() if job.new.event_id == event_id}
        if event_id is not None and not statuses & OPEN:
            dead, done = JobStatus.ERROR in statuses, JobStatus.COMPLETED in statuses
            self.events.become(
                event_id, EventState.DEAD if dead else EventState.PROCESSED if done else EventState.DISCARDED
            )
