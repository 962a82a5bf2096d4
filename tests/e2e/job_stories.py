"""Jobs, put into the store and looked at in this process, beside the workers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from app.adapters.postgres.connections import Connections
from app.adapters.postgres.engine import make_engine
from app.adapters.postgres.job_store import PostgresJobStore, add_jobs
from app.core.domain.connector import Json
from app.core.domain.ids import JobId
from app.core.domain.job import FINISHED, Job, JobStatus, NewJob
from app.core.domain.retry import usual_policy
from app.core.ports.wake_ups import WakeUps
from app.core.use_cases.start_job import StartJob
from tests.conftest import PATIENT
from tests.e2e.api import until
from tests.e2e.conftest import rows

T = TypeVar("T")


class _NoHints(WakeUps):
    def hint(self) -> None:
        """Workers look by themselves."""

    async def wait(self, seconds: float) -> None:
        """Nobody waits here."""


class Jobs:
    """The jobs of one database."""

    def __init__(self, database_url: str) -> None:
        self.url = database_url

    def start(self, connector_name: str, payload: Json, action: str | None = None) -> JobId:
        """Have an action run on a payload."""
        return self._run(
            lambda store: StartJob(store, _NoHints(), usual_policy(0.1)).on_connector(
                connector_name, payload, action=action
            )
        )

    def add(self, *jobs: NewJob, losses: int = 0, status: JobStatus = JobStatus.PENDING) -> None:
        """Keep these, as though they had been lost so often before, or had failed."""

        async def run() -> None:
            pool = Connections(self.url, budget=PATIENT, largest=1)
            try:
                async with pool.session() as session, session.transaction():
                    await add_jobs(session, jobs, counted=False)
                    history = "UPDATE open_jobs SET losses = $2, status = $3 WHERE id = ANY($1)"
                    await session.execute(history, _ids(jobs), losses, status.value)
            finally:
                await pool.close()

        asyncio.run(run())

    def get(self, job_id: JobId) -> Job:
        """Look at one."""
        job = self._run(lambda store: store.get(job_id))
        assert job is not None
        return job

    def become(self, job_id: JobId, *statuses: JobStatus, seconds: float = 10.0) -> Job:
        """Wait until it is in one of these states, by default a final one."""
        wanted = statuses or tuple(FINISHED)
        until(lambda: self.get(job_id).status in wanted, seconds, f"{wanted} of {self.get(job_id)}")
        return self.get(job_id)

    def worker_of(self, job_id: JobId) -> int:
        """The process that has it."""
        query = "SELECT w.name FROM open_jobs j JOIN workers w ON w.id = j.worker WHERE j.id = $1"
        (row,) = asyncio.run(rows(self.url, query, job_id))
        return int(row["name"].rpartition(":")[2])

    def _run(self, ask: Callable[[PostgresJobStore], Awaitable[T]]) -> T:
        async def run() -> T:
            pool = Connections(self.url, budget=PATIENT, largest=1)
            engine = make_engine(self.url, budget=PATIENT, largest=1)
            try:
                return await ask(PostgresJobStore(pool, engine))
            finally:
                await engine.dispose()
                await pool.close()

        return asyncio.run(run())


def _ids(jobs: Sequence[NewJob]) -> list[JobId]:
    return [job.id for job in jobs]


def endings(job: Job) -> list[str]:
    """How its executions ended."""
    return [execution.status.value for execution in job.executions]
