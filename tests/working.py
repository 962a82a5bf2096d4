"""A worker of the tests: claims jobs, and records and settles them as it is told, a step at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from uuid import uuid4

from app.adapters.postgres.connections import Connections
from app.adapters.postgres.engine import make_engine
from app.adapters.postgres.job_claims import PostgresJobClaims
from app.adapters.postgres.job_store import PostgresJobStore
from app.adapters.postgres.workers import PostgresWorkers
from app.core.domain.ids import JobId
from app.core.domain.job import ExecutionStatus, Move, NewJob
from app.core.domain.step import StepRecord, StepStatus
from app.core.ports.job_claims import ClaimedJob, Progress, Settlement
from tests.conftest import PATIENT

ENDS = {
    Move.COMPLETE: ExecutionStatus.COMPLETED,
    Move.POSTPONE: ExecutionStatus.FAILED,
    Move.FAIL: ExecutionStatus.FAILED,
    Move.PARK: ExecutionStatus.PARKED,
    Move.RETURN: ExecutionStatus.RETURNED,
}

T = TypeVar("T")


@dataclass
class Hand:
    """On a lease that outlasts the test."""

    database_url: str
    id: str = field(default_factory=lambda: str(uuid4()))

    def claim(self, most: int = 1) -> Sequence[ClaimedJob]:
        """Take what is due."""

        async def enlist_and_claim(connections: Connections) -> Sequence[ClaimedJob]:
            await PostgresWorkers(connections).enlist(self.id, "hand", 600)
            return await PostgresJobClaims(connections).claim(self.id, most)

        self.id = str(uuid4())
        return self._with(enlist_and_claim)

    def claim_one(self, job_id: str) -> ClaimedJob:
        """Take the one that is due."""
        (job,) = self.claim()
        assert job.id == job_id
        return job

    def record(self, job: ClaimedJob, *outputs: Any) -> None:
        """Say that the first steps are done."""
        steps = done(job, *outputs)
        progress = Progress(job.id, job.token, steps, outputs[-1])
        held = self._with(lambda connections: PostgresJobClaims(connections).record([progress]))
        assert held == {job.id}

    def settle(self, job: ClaimedJob, move: Move, *outputs: Any, error: str | None = None, **more: Any) -> None:
        """End the execution, the first steps done; an error is that of the next one."""
        steps = list(done(job, *outputs))
        if error is not None:
            failed = StepStatus.RUNNING if move is Move.PARK else StepStatus.ERROR
            steps[len(outputs)] = replace(
                steps[len(outputs)], status=failed, error_message=error, code="broken", tries=1, key="k" * 32
            )
        result = outputs[-1] if outputs else None
        settlement = Settlement(
            job.id, job.token, job.attempt, move, ENDS[move], tuple(steps), result, error_message=error, **more
        )
        held: Collection[JobId] = self._with(lambda connections: PostgresJobClaims(connections).settle([settlement]))
        assert held == {job.id}

    def add(self, *jobs: NewJob) -> None:
        """Keep jobs as the planner does."""

        async def add(connections: Connections) -> None:
            engine = make_engine(self.database_url, budget=PATIENT, largest=1)
            await PostgresJobStore(connections, engine).add(jobs)

        self._with(add)

    def _with(self, work: Callable[[Connections], Awaitable[T]]) -> T:
        async def run() -> T:
            connections = Connections(self.database_url, budget=PATIENT, largest=1)
            try:
                return await work(connections)
            finally:
                await connections.close()

        return asyncio.run(run())


def done(job: ClaimedJob, *outputs: Any) -> tuple[StepRecord, ...]:
    """The job's steps, the first of them done with these outputs."""
    completed = [
        StepRecord(step.name, StepStatus.COMPLETED, output, tries=1)
        for step, output in zip(job.steps, outputs, strict=False)
    ]
    return (*completed, *job.steps[len(completed) :])
