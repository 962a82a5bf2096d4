"""Where jobs are kept, as those see them who ask for jobs and look at them; workers see `JobClaims`."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from app.core.domain.ids import EventId, JobId
from app.core.domain.job import Job, JobStatus, NewJob

EXACT_TO = 10_000


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs: all conditions hold together; None means any."""

    status: JobStatus | None = None
    connector_name: str | None = None
    flow: str | None = None
    event_id: EventId | None = None
    limit: int = 50
    offset: int = 0


class JobPage(NamedTuple):
    """A page of jobs, newest first."""

    jobs: Sequence[Job]
    total: int
    """How many match in all; counted to `EXACT_TO`."""
    total_is_exact: bool


class Moved(NamedTuple):
    """It was done; the transaction has committed."""

    status: JobStatus


class Illegal(NamedTuple):
    """It was not done, because a job in this state may not move so."""

    status: JobStatus


class JobStore(Protocol):
    """Every job, open and finished, shared by every process on one database. Safe to call from many at once."""

    @abstractmethod
    async def add(self, jobs: Sequence[NewJob]) -> None:
        """Keep these in one transaction, committed when this returns. The very same one (by id) again changes nothing.

        Raises `Unavailable` when nothing was kept, `OutcomeUnknown` when the commit may or may not have happened,
        `RowFault` when nothing was kept because of one of them.
        """

    @abstractmethod
    async def rerun(self, job_id: JobId) -> Moved | Illegal | None:
        """Let a worker take it now: from the step that failed, or a completed one from its first step, as a new run.

        Its event is `received` again. None: there is no such job. Raises `Unavailable` or `OutcomeUnknown`.
        """

    @abstractmethod
    async def cancel(self, job_id: JobId) -> Moved | Illegal | None:
        """End a job that no worker has. None: there is no such job. Raises `Unavailable` or `OutcomeUnknown`."""

    @abstractmethod
    async def get(self, job_id: JobId) -> Job | None:
        """Give one job whole, as far as it has got. Raises `Unavailable`."""

    @abstractmethod
    async def find(self, query: JobQuery) -> JobPage:
        """List jobs, newest first, without payloads, steps and executions. Raises `Unavailable`."""
