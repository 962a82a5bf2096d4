"""The workers' leases in Postgres."""

from app.adapters.postgres.connections import Connections
from app.core.ports.workers import Workers

ENLIST = """
INSERT INTO workers (id, name, lease_until) VALUES ($1, $2, now() + make_interval(secs => $3))
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
        async with self._connections.session() as session:
            await session.execute(ENLIST, worker, name, lease_seconds)

    async def renew(self, worker: str, lease_seconds: float) -> bool:
        """Update the row."""
        async with self._connections.session() as session:
            return str(await session.execute(RENEW, worker, lease_seconds)) == "UPDATE 1"

    async def leave(self, worker: str) -> None:
        """Delete the row."""
        async with self._connections.session() as session:
            await session.execute(LEAVE, worker)
