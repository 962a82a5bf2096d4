"""Jobs in Postgres as operators see them: open ones and finished ones are two tables, and one list."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Select, Table, cast, func, literal, null, select, union_all
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.postgres.connections import Connections, Session
from app.adapters.postgres.engine import reading
from app.adapters.postgres.job_days import JobDays
from app.adapters.postgres.job_rows import job, read_plan, read_steps, written_plan, written_steps
from app.adapters.postgres.job_settling import count_finished
from app.adapters.postgres.tables import finished_jobs, open_jobs
from app.core.domain.errors import RowFault, Unavailable
from app.core.domain.ids import JobId
from app.core.domain.job import FINISHED, OPEN, Job, JobStatus, Move, NewJob, origins
from app.core.domain.step import resumed
from app.core.ports.job_store import EXACT_TO, Illegal, JobPage, JobQuery, JobStore, Moved

ADD = """
INSERT INTO open_jobs (id, status, flow, connector_name, event_id, payload, traceparent, plan)
SELECT id, 'pending', flow, connector_name, event_id, payload, traceparent, plan
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[])
     AS t(id, flow, connector_name, event_id, payload, traceparent, plan)
WHERE NOT EXISTS (SELECT FROM finished_jobs f WHERE f.id = t.id OFFSET 0)
ON CONFLICT (id) DO NOTHING
RETURNING event_id
"""

COUNT_ADDED = """
INSERT INTO event_states AS s (event_id, jobs_open)
SELECT event_id, count(*) FROM unnest($1::uuid[]) AS t(event_id) GROUP BY event_id ORDER BY event_id
ON CONFLICT (event_id) DO UPDATE
SET jobs_open = s.jobs_open + excluded.jobs_open, state = 'received', updated_at = now()
"""

_COPIED = "id, flow, connector_name, event_id, created_at, traceparent, last_traceparent, plan, payload, executions"
LOOK = """
SELECT status, plan, steps, event_id FROM {table} WHERE id = $1 AND status = ANY($2::text[]) FOR UPDATE
"""
LOOK_OPEN, LOOK_FINISHED = LOOK.format(table="open_jobs"), LOOK.format(table="finished_jobs")

# What is completed runs again on purpose: another run, with other idempotency keys, from its first step.
REOPEN = f"""
WITH gone AS (
    DELETE FROM finished_jobs WHERE id = $1 RETURNING *
)
INSERT INTO open_jobs ({_COPIED}, status, run, attempt, steps, result, error_message)
SELECT {_COPIED}, 'pending', CASE WHEN status = 'completed' THEN run + 1 ELSE run END, attempt, $2,
       CASE WHEN status <> 'completed' THEN result END, error_message
FROM gone
"""  # noqa: S608 (of our own constants)
HURRY = (
    "UPDATE open_jobs SET status = 'pending', due_at = now(), losses = 0, steps = $2, updated_at = now() WHERE id = $1"
)
CANCEL = f"""
WITH gone AS (
    DELETE FROM open_jobs WHERE id = $1 AND status = ANY($2::text[]) RETURNING *
), kept AS (
    INSERT INTO finished_jobs ({_COPIED}, status, run, attempt, steps, result, error_message)
    SELECT {_COPIED}, 'cancelled', run, attempt, steps, result, error_message FROM gone
)
SELECT event_id FROM gone
"""  # noqa: S608
COUNT_REOPENED = """
UPDATE event_states SET state = 'received', updated_at = now(), jobs_open = jobs_open + 1,
    jobs_completed = jobs_completed - ($2 = 'completed')::int, jobs_dead = jobs_dead - ($2 = 'error')::int
WHERE event_id = $1
"""
STATUS = """
SELECT status FROM open_jobs WHERE id = $1 UNION ALL SELECT status FROM finished_jobs WHERE id = $1
"""

_LISTED = (
    *("id", "status", "flow", "connector_name", "event_id", "run", "attempt", "created_at", "updated_at"),
    *("traceparent", "result", "error_message", "fingerprint"),
)
_WHOLE = (*_LISTED, "plan", "payload", "steps", "executions")


class PostgresJobStore(JobStore):
    """Changes go by the hot statements' connections, looks by the operators' own."""

    def __init__(self, connections: Connections, engine: AsyncEngine) -> None:
        self._connections = connections
        self._engine = engine
        self._days = JobDays()

    async def add(self, jobs: Sequence[NewJob]) -> None:
        """Insert by one statement, and count them at their events."""
        if not jobs:
            return
        async with self._connections.session() as session:
            self._days.know(await self._days.made(session, [job.id for job in jobs]))
            async with session.transaction():
                await add_jobs(session, jobs, counted=False)

    async def rerun(self, job_id: JobId) -> Moved | Illegal | None:
        """Move a finished job back, or make an open one due."""
        froms = origins(Move.RERUN)
        try:
            async with self._connections.session() as session, session.transaction():
                if row := await session.fetchrow(LOOK_OPEN, job_id, _named(froms & OPEN)):
                    await session.execute(HURRY, job_id, _resumed(row))
                    return Moved(JobStatus.PENDING)
                if row := await session.fetchrow(LOOK_FINISHED, job_id, _named(froms & FINISHED)):
                    again = row["status"] == JobStatus.COMPLETED
                    await session.execute(REOPEN, job_id, "[]" if again else _resumed(row))
                    await session.execute(COUNT_REOPENED, row["event_id"], row["status"])
                    return Moved(JobStatus.PENDING)
                return await _illegal(session, job_id)
        except RowFault as error:
            raise Unavailable(f"{error}; try again") from error

    async def cancel(self, job_id: JobId) -> Moved | Illegal | None:
        """Move an open job to the finished ones."""
        try:
            async with self._connections.session() as session, session.transaction():
                gone = await session.fetchrow(CANCEL, job_id, _named(origins(Move.CANCEL)))
                if gone is None:
                    return await _illegal(session, job_id)
                await count_finished(session, [(gone["event_id"], JobStatus.CANCELLED)])
                return Moved(JobStatus.CANCELLED)
        except RowFault as error:
            raise Unavailable(f"{error}; try again") from error

    async def get(self, job_id: JobId) -> Job | None:
        """Look in both tables by one statement, so that none is missed on its way from one to the other."""
        statement = union_all(
            *(_from(table, _WHOLE).where(table.c.id == job_id) for table in (open_jobs, finished_jobs))
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(statement)).mappings().first()
        return job(row, whole=True) if row else None

    async def find(self, query: JobQuery) -> JobPage:
        """Merge the newest of both tables; count to the bound."""
        wanted = query.offset + query.limit
        newest = union_all(
            *(
                select(
                    _from(table, _LISTED)
                    .where(*_conditions(table, query))
                    .order_by(table.c.id.desc())
                    .limit(wanted)
                    .subquery()
                )
                for table in _tables(query)
            )
        ).subquery()
        page = select(newest).order_by(newest.c.id.desc()).offset(query.offset).limit(query.limit)
        some = union_all(
            *(
                select(
                    select(literal(1))
                    .select_from(table)
                    .where(*_conditions(table, query))
                    .limit(EXACT_TO + 1)
                    .subquery()
                )
                for table in _tables(query)
            )
        ).subquery()
        count = select(func.count()).select_from(select(some).limit(EXACT_TO + 1).subquery())
        async with reading(self._engine) as connection:
            rows = (await connection.execute(page)).mappings().all()
            total = (await connection.execute(count)).scalar_one()
        jobs = [job(row, whole=False) for row in rows]
        return JobPage(jobs, min(total, EXACT_TO), total <= EXACT_TO)


async def add_jobs(session: Session, jobs: Sequence[NewJob], *, counted: bool) -> None:
    """Insert jobs within a transaction; `counted`: the caller counts them at their events."""
    added = await session.fetch(
        ADD,
        [new.id for new in jobs],
        [new.flow for new in jobs],
        [new.connector_name for new in jobs],
        [new.event_id for new in jobs],
        [new.payload for new in jobs],
        [new.traceparent for new in jobs],
        [written_plan(new.steps) for new in jobs],
    )
    events = [row["event_id"] for row in added if row["event_id"] is not None]
    if events and not counted:
        await session.execute(COUNT_ADDED, events)


def _resumed(row: Any) -> str:
    return written_steps(resumed(read_steps(row["steps"], read_plan(row["plan"]))))


async def _illegal(session: Session, job_id: JobId) -> Illegal | None:
    status = await session.fetchval(STATUS, job_id)
    return Illegal(JobStatus(status)) if status else None


def _named(statuses: frozenset[JobStatus]) -> list[str]:
    return [status.value for status in statuses]


def _from(table: Table, names: Sequence[str]) -> Select[Any]:
    only_open = (
        table.c[name] if name in table.c else cast(null(), DateTime(timezone=True)).label(name)
        for name in ("due_at", "claimed_at")
    )
    return select(*(table.c[name] for name in names), *only_open)


def _tables(query: JobQuery) -> tuple[Table, ...]:
    if query.status is None:
        return (open_jobs, finished_jobs)
    return (open_jobs,) if query.status in OPEN else (finished_jobs,)


def _conditions(table: Table, query: JobQuery) -> list[ColumnElement[bool]]:
    wanted = {
        "status": query.status.value if query.status else None,
        "connector_name": query.connector_name,
        "flow": query.flow,
        "event_id": query.event_id,
    }
    return [table.c[name] == value for name, value in wanted.items() if value is not None]
