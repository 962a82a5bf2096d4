"""What an operator does to a job: run it again, or want it no more."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.core.domain.audit import Action, Actor, NewAuditEntry
from app.core.domain.ids import JobId, is_id
from app.core.domain.job import TRANSITIONS, Move
from app.core.ports.audit_log import AuditLog
from app.core.ports.job_store import Illegal, JobStore, Moved
from app.core.ports.wake_ups import WakeUps


@dataclass(frozen=True, slots=True)
class ChangeJob:
    """Move one job by hand; who did it is written down first."""

    jobs: JobStore
    wake_ups: WakeUps
    audit: AuditLog

    async def retry(self, job_id: str, by: Actor) -> Moved | Illegal | None:
        """Let it run now; see `JobStore.rerun`."""
        moved = await self._move(job_id, Move.RERUN, by.does(Action.JOB_RETRY, job_id), self.jobs.rerun)
        if isinstance(moved, Moved):
            self.wake_ups.hint()
        return moved

    async def cancel(self, job_id: str, by: Actor) -> Moved | Illegal | None:
        """End it; see `JobStore.cancel`."""
        return await self._move(job_id, Move.CANCEL, by.does(Action.JOB_CANCEL, job_id), self.jobs.cancel)

    async def _move(
        self,
        job_id: str,
        move: Move,
        entry: NewAuditEntry,
        change: Callable[[JobId], Awaitable[Moved | Illegal | None]],
    ) -> Moved | Illegal | None:
        job = await self.jobs.get(JobId(job_id)) if is_id(job_id) else None
        if job is None:
            return None
        if (job.status, move) not in TRANSITIONS:
            return Illegal(job.status)
        await self.audit.append(entry)
        return await change(job.id)
