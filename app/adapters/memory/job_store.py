"""Jobs in memory as operators see them, for tests."""

import json
from collections.abc import Sequence
from dataclasses import replace

from app.adapters.memory.jobs import Jobs, KeptJob
from app.core.domain.ids import JobId
from app.core.domain.job import TRANSITIONS, Execution, ExecutionStatus, Job, JobStatus, Move, NewJob
from app.core.domain.step import StepRecord, resumed
from app.core.ports.job_store import EXACT_TO, Illegal, JobPage, JobQuery, JobStore, Moved

MOST_EXECUTIONS_SHOWN = 100


class MemoryJobStore(JobStore):
    """The in-process twin: as durable as its process."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def add(self, jobs: Sequence[NewJob]) -> None:
        """Put each where there is none of its id."""
        for new in jobs:
            self._jobs.add(new)

    async def rerun(self, job_id: JobId) -> Moved | Illegal | None:
        """Move it back, with fresh tries, or as a new run."""
        job = self._jobs.kept.get(job_id)
        if job is None:
            return None
        if (job.status, Move.RERUN) not in TRANSITIONS:
            return Illegal(job.status)
        if job.status is JobStatus.COMPLETED:
            job.run += 1
            job.steps = tuple(StepRecord(step.name) for step in job.new.steps)
            job.result = None
        else:
            job.steps = resumed(job.steps)
        job.losses = 0
        job.due_at = self._jobs.clock()
        job.fingerprint = None
        self._jobs.move(job, Move.RERUN)
        self._jobs.reopen_event(job.new.event_id)
        return Moved(job.status)

    async def cancel(self, job_id: JobId) -> Moved | Illegal | None:
        """Move it, if it may move so."""
        job = self._jobs.kept.get(job_id)
        if job is None:
            return None
        if (job.status, Move.CANCEL) not in TRANSITIONS:
            return Illegal(job.status)
        self._jobs.move(job, Move.CANCEL)
        return Moved(job.status)

    async def get(self, job_id: JobId) -> Job | None:
        """Give one whole."""
        job = self._jobs.kept.get(job_id)
        return _seen(job) if job else None

    async def find(self, query: JobQuery) -> JobPage:
        """Walk all of them, newest first."""
        newest_first = (_seen(job) for _, job in sorted(self._jobs.kept.items(), reverse=True))
        found = [replace(job, payload=None, steps=(), executions=()) for job in newest_first if _matches(job, query)]
        page = found[query.offset : query.offset + query.limit]
        return JobPage(page, min(len(found), EXACT_TO), len(found) <= EXACT_TO)


def _seen(job: KeptJob) -> Job:
    executions = list(job.executions)
    if job.claimed_at is not None:
        executions.append(Execution(job.attempt, ExecutionStatus.RUNNING, job.claimed_at))
    return Job(
        id=job.new.id,
        flow=job.new.flow,
        connector_name=job.new.connector_name,
        status=job.status,
        attempt=job.attempt,
        created_at=job.created_at,
        updated_at=job.updated_at,
        event_id=job.new.event_id,
        traceparent=job.new.traceparent,
        due_at=job.due_at if job.status is JobStatus.RETRYING else None,
        error_message=job.error_message,
        fingerprint=job.fingerprint,
        result=job.result,
        payload=None if job.new.payload is None else json.loads(job.new.payload),
        steps=job.steps,
        executions=tuple(executions[-MOST_EXECUTIONS_SHOWN:]),
        run=job.run,
    )


def _matches(job: Job, query: JobQuery) -> bool:
    return (
        query.status in (None, job.status)
        and query.connector_name in (None, job.connector_name)
        and query.flow in (None, job.flow)
        and query.event_id in (None, job.event_id)
    )
