"""Claiming and settling jobs in memory, for tests."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from app.adapters.memory.jobs import Jobs, KeptJob, kept
from app.core.domain.connector import Json
from app.core.domain.ids import JobId
from app.core.domain.job import Execution, ExecutionStatus, JobStatus, Move
from app.core.domain.step import StepRecord
from app.core.ports.job_claims import (
    MOST_LOSSES,
    SUSPECT_AFTER,
    ClaimedJob,
    JobClaims,
    Progress,
    Rescued,
    Settlement,
)


class MemoryJobClaims(JobClaims):
    """The in-process twin: its clock is that of the jobs."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._odd_ones = {False: False, True: False}

    async def claim(self, worker: str, most: int, *, suspect: bool = False) -> Sequence[ClaimedJob]:
        """Take half of those that are tried again, then fresh ones, then whatever is left."""
        at = self._jobs.clock()
        if self._jobs.leases.get(worker, at) <= at:
            return []
        if most % 2:
            self._odd_ones[suspect] = not self._odd_ones[suspect]
        half = (most + self._odd_ones[suspect]) // 2
        mine = [job for job in self._jobs.kept.values() if (job.losses >= SUSPECT_AFTER) == suspect]
        fresh = sorted((job for job in mine if job.status is JobStatus.PENDING), key=lambda job: job.new.id)
        late = sorted((job for job in mine if _late(job, self._jobs)), key=lambda job: job.due_at)
        chosen = [*late[:half], *fresh, *late[half:]][:most]
        return [self._claimed(job, worker) for job in sorted(chosen, key=lambda job: job.new.id)]

    def _claimed(self, job: KeptJob, worker: str) -> ClaimedJob:
        at = self._jobs.clock()
        self._jobs.move(job, Move.CLAIM)
        job.attempt += 1
        job.worker, job.token, job.claimed_at = worker, str(uuid4()), at
        event = self._jobs.events.event(job.new.event_id)
        return ClaimedJob(
            id=job.new.id,
            token=job.token,
            attempt=job.attempt,
            run=job.run,
            losses=job.losses,
            flow=job.new.flow,
            connector_name=job.new.connector_name,
            plan=job.new.steps,
            steps=job.steps,
            payload=job.new.payload,
            event_id=job.new.event_id,
            event_type=event.type if event else None,
            body=event.body if event else None,
            content_type=event.content_type if event else None,
            traceparent=job.new.traceparent,
            previous_traceparent=job.last_traceparent,
            waited_seconds=max((at - job.due_at).total_seconds(), 0.0),
        )

    async def record(self, progress: Sequence[Progress]) -> Collection[JobId]:
        """Write it to those whose token it is."""
        held = set()
        for one in progress:
            if job := self._held(one.job_id, one.token):
                job.steps, job.result = _kept_steps(one.steps), kept(one.result)
                job.updated_at = self._jobs.clock()
                held.add(one.job_id)
        return held

    async def settle(self, settlements: Sequence[Settlement]) -> Collection[JobId]:
        """Move those whose token it is."""
        held = set()
        for one in settlements:
            if job := self._held(one.job_id, one.token):
                job.losses = 0
                job.fingerprint = one.fingerprint if one.move is Move.FAIL else None
                job.last_traceparent = one.traceparent or job.last_traceparent
                if one.steps is not None:
                    job.steps, job.result = _kept_steps(one.steps), kept(one.result)
                self._end(job, one.execution, one.error_message, kept(one.result), one.delay_seconds)
                self._jobs.move(job, one.move)
                held.add(one.job_id)
        return held

    async def rescue(self) -> Rescued:
        """Look for leases that have ended, and for jobs of workers that are not there."""
        at = self._jobs.clock()
        gone = [worker for worker, until in self._jobs.leases.items() if until <= at]
        for worker in gone:
            del self._jobs.leases[worker]
        retrying = dead = 0
        for job in self._jobs.kept.values():
            if job.worker is not None and job.worker not in self._jobs.leases:
                job.losses += 1
                self._end(job, ExecutionStatus.LOST, f"its worker is gone: loss {job.losses} of {MOST_LOSSES}")
                self._jobs.move(job, Move.LOSE)
                if job.losses >= MOST_LOSSES:
                    job.fingerprint = "worker_lost"
                    self._jobs.move(job, Move.FAIL)
                    dead += 1
                else:
                    retrying += 1
        suspects = sum(
            job.losses >= SUSPECT_AFTER and (job.status is JobStatus.PENDING or _late(job, self._jobs))
            for job in self._jobs.kept.values()
        )
        return Rescued(len(gone), retrying, dead, suspects)

    def _held(self, job_id: JobId, token: str) -> KeptJob | None:
        job = self._jobs.kept.get(job_id)
        return job if job is not None and job.token == token else None

    def _end(
        self,
        job: KeptJob,
        status: ExecutionStatus,
        error_message: str | None,
        output: Json = None,
        delay_seconds: float = 0.0,
    ) -> None:
        """Write the execution down; the job is nobody's any more."""
        at = self._jobs.clock()
        job.executions.append(
            Execution(job.attempt, status, job.claimed_at or at, at, output, error_message),
        )
        job.worker = job.token = job.claimed_at = None
        job.error_message = error_message
        job.due_at = at + timedelta(seconds=delay_seconds)


def _late(job: KeptJob, jobs: Jobs) -> bool:
    return job.status is JobStatus.RETRYING and job.due_at <= jobs.clock()


def _kept_steps(steps: Sequence[StepRecord]) -> tuple[StepRecord, ...]:
    return tuple(replace(step, output=kept(step.output)) for step in steps)
