"""Looking at jobs."""

from dataclasses import dataclass

from app.core.domain.ids import JobId, is_id
from app.core.domain.job import Job
from app.core.ports.job_store import JobPage, JobQuery, JobStore


@dataclass(frozen=True, slots=True)
class BrowseJobs:
    """Find jobs, and look at one."""

    jobs: JobStore

    async def find(self, query: JobQuery) -> JobPage:
        """List jobs, newest first. Raises `Unavailable`."""
        return await self.jobs.find(query)

    async def get(self, job_id: str) -> Job | None:
        """Give one job whole; None for an id that names nothing. Raises `Unavailable`."""
        return await self.jobs.get(JobId(job_id)) if is_id(job_id) else None
