"""What an operator does to a job: run it again, or want it no more."""

from dataclasses import dataclass

from app.core.domain.ids import JobId, is_id
from app.core.ports.job_store import Illegal, JobStore, Moved
from app.core.ports.wake_ups import WakeUps


@dataclass(frozen=True, slots=True)
class ChangeJob:
    """Move one job by hand."""

    jobs: JobStore
    wake_ups: WakeUps

    async def retry(self, job_id: str) -> Moved | Illegal | None:
        """Let it run now; see `JobStore.rerun`."""
        moved = await self.jobs.rerun(JobId(job_id)) if is_id(job_id) else None
        if isinstance(moved, Moved):
            self.wake_ups.hint()
        return moved

    async def cancel(self, job_id: str) -> Moved | Illegal | None:
        """End it; see `JobStore.cancel`."""
        return await self.jobs.cancel(JobId(job_id)) if is_id(job_id) else None
