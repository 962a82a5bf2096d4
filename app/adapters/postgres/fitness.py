"""Is this database one that a promise can be built on? Asked at the start, and (the short form) by health."""

import time

from app.adapters.postgres.connections import Connections, Session
from app.core.domain.errors import Unavailable, Unfit
from app.core.ports.probe import Probe


class PostgresProbe(Probe):
    """One round trip on intake's own connections, which must reach a primary that has our tables."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @property
    def name(self) -> str:
        """Health calls it `db`."""
        return "db"

    async def check(self) -> float:
        """Ask for the revision, which fails where there are no tables of ours."""
        started = time.perf_counter()
        try:
            async with self._connections.session() as session:
                in_recovery = await session.fetchval("SELECT pg_is_in_recovery() FROM alembic_version")
        except Unavailable:
            raise
        except Exception as error:
            raise Unavailable(str(error)) from error
        if in_recovery is None:
            raise Unavailable("the database has no schema: run 'opsconnect migrate'")
        if in_recovery:
            raise Unavailable("the Postgres server is a standby and cannot keep events")
        return round((time.perf_counter() - started) * 1000, 2)


async def refuse_unfit(connections: Connections, *, revision: str) -> None:
    """Refuse a database that cannot keep the promises, or whose schema this code does not know.

    Raises `Unfit` then, and `Unavailable` when it cannot be asked.
    """
    async with connections.session() as session:
        found = await _revision(session)
    if found != revision:
        state = f"is at revision {found}" if found else "has no schema"
        raise Unfit(
            f"the database {state}, this version of OpsConnect works on {revision}: "
            "run 'opsconnect migrate' (or a newer OpsConnect, if the database is ahead)"
        )


async def _revision(session: Session) -> str | None:
    if await session.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    found: str | None = await session.fetchval("SELECT version_num FROM alembic_version")
    return found
