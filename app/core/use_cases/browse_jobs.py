"""Looking at jobs."""

from dataclasses import dataclass, replace

from app.core.domain.ids import JobId, is_id
from app.core.domain.job import Job
from app.core.domain.job_input import payload_of
from app.core.ports.event_reader import EventReader
from app.core.ports.job_store import JobPage, JobQuery, JobStore


@dataclass(frozen=True, slots=True)
class BrowseJobs:
    """Find jobs, and look at one."""

    jobs: JobStore
    events: EventReader

    async def find(self, query: JobQuery) -> JobPage:
        """List jobs, newest first; none for what cannot be a name or an event's id. Raises `Unavailable`."""
        names = (query.connector_name or "", query.flow or "")
        if not all(map(str.isprintable, names)) or (query.event_id is not None and not is_id(query.event_id)):
            return JobPage([], 0, total_is_exact=True)
        return await self.jobs.find(query)

    async def get(self, job_id: str) -> Job | None:
        """Give one job whole, with what it works on: that of an event sees its body, as long as the event is kept.

        None for an id that names nothing. Raises `Unavailable`.
        """
        job = await self.jobs.get(JobId(job_id)) if is_id(job_id) else None
        if job is None or job.event_id is None or job.payload is not None:
            return job
        event = await self.events.get(job.event_id)
        body = await self.events.body(job.event_id)
        return job if event is None or body is None else replace(job, payload=payload_of(event.content_type, body))
