"""The workers' leases in Postgres."""

from app.adapters.postgres.connections import Connections
from app.core.domain.errors import RowFault, Unavailable
from app.core.ports.workers import Workers

# Asked again, because the answer never came, it is the same lease.
ENLIST = """
INSERT INTO workers (id, name, lease_until) VALUES ($1, $2, now() + make_interval(secs => $3))
ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until
"""
# A lease that has ended is not revived, even where nobody has come for its jobs yet.
RENEW = "UPDATE workers SET lease_until = now() + make_interval(secs => $2) WHERE id = $1 AND lease_until > now()"
LEAVE = "DELETE FROM workers WHERE id = $1"


class PostgresWorkers(Workers):
    """One row a worker."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def enlist(self, worker: str, name: str, lease_seconds: float) -> None:
        """Insert the row."""
        await self._execute(ENLIST, worker, name, lease_seconds)

    async def renew(self, worker: str, lease_seconds: float) -> bool:
        """Update the row."""
        return await self._execute(RENEW, worker, lease_seconds) == "UPDATE 1"

    async def leave(self, worker: str) -> None:
        """Delete the row."""
        await self._execute(LEAVE, worker)

    async def _execute(self, statement: str, *arguments: object) -> str:
        try:
            async with self._connections.session() as session:
                return str(await session.execute(statement, *arguments))
        except RowFault as error:  # a rescue has the row in hand
            raise Unavailable(str(error)) from error
