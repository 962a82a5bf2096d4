"""What an operator does to a job: run it again, or want it no more. It is written down before it is done."""

from dataclasses import dataclass

from app.core.domain.audit import Action, Actor, NewAuditEntry
from app.core.domain.ids import JobId, is_id
from app.core.domain.job import TRANSITIONS, Move
from app.core.ports.audit_log import AuditLog
from app.core.ports.job_store import Illegal, JobStore, Moved
from app.core.ports.wake_ups import WakeUps


@dataclass(frozen=True, slots=True)
class ChangeJob:
    """Move one job by hand. What the audit log raises is let through: nothing was done then."""

    jobs: JobStore
    wake_ups: WakeUps
    audit: AuditLog

    async def retry(self, job_id: str, by: Actor) -> Moved | Illegal | None:
        """Let it run now; see `JobStore.rerun`."""
        moved = await self._written_down(job_id, Move.RERUN, by.does(Action.JOB_RETRY, job_id))
        if isinstance(moved, Moved):
            moved = await self.jobs.rerun(JobId(job_id))
            self.wake_ups.hint()
        return moved

    async def cancel(self, job_id: str, by: Actor) -> Moved | Illegal | None:
        """End it; see `JobStore.cancel`."""
        moved = await self._written_down(job_id, Move.CANCEL, by.does(Action.JOB_CANCEL, job_id))
        return await self.jobs.cancel(JobId(job_id)) if isinstance(moved, Moved) else moved

    async def _written_down(self, job_id: str, move: Move, entry: NewAuditEntry) -> Moved | Illegal | None:
        """Write a move down that is legal as the job stands now; give where it would lead, else why it is not made."""
        job = await self.jobs.get(JobId(job_id)) if is_id(job_id) else None
        if job is None:
            return None
        status = TRANSITIONS.get((job.status, move))
        if status is None:
            return Illegal(job.status)
        await self.audit.append(entry)
        return Moved(status)
