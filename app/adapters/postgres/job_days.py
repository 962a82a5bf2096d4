"""The days of finished jobs: each has its partition before a job of that day is kept, so that the job can be finished.

Upkeep makes days ahead of need, by the database's clock; a job's id is made by its process's clock.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime

import asyncpg

from app.adapters.postgres.connections import Session
from app.core.domain.errors import Unavailable
from app.core.domain.ids import JobId

MAKE_DAY = "SELECT opsconnect_make_event_days($1, 1)"


class JobDays:
    """The days that are known to be there."""

    def __init__(self) -> None:
        self._known: set[date] = set()

    async def made(self, session: Session, jobs: Iterable[JobId]) -> set[date]:
        """Make what is missing for these; give what `know` is to be told when that is committed.

        Raises `Unavailable` for a day that is nowhere near: a clock is wrong.
        """
        missing = {_day(job_id) for job_id in jobs} - self._known
        try:
            for day in sorted(missing):
                await session.execute(MAKE_DAY, day)
        except asyncpg.PostgresError as error:
            raise Unavailable(f"Postgres: no partition for the jobs and none could be made: {error}") from error
        return missing

    def know(self, days: Iterable[date]) -> None:
        """Remember days, so that nobody is asked for them again."""
        self._known.update(days)


def _day(job_id: JobId) -> date:
    milliseconds = int(job_id.replace("-", "")[:12], 16)
    return datetime.fromtimestamp(milliseconds / 1000, UTC).date()
