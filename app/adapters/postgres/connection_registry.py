"""Connections in Postgres, looked at."""

from collections.abc import Sequence

from app.adapters.postgres.connection_spec import read
from app.adapters.postgres.connections import Connections
from app.adapters.postgres.source_spec import NotUnderstood
from app.core.domain.connection import Connection
from app.core.domain.errors import Unavailable
from app.core.domain.source import NAME
from app.core.ports.connection_registry import ConnectionRegistry

GET = "SELECT spec FROM connections WHERE name = $1"
ALL = 'SELECT spec FROM connections ORDER BY name COLLATE "C"'


class PostgresConnectionRegistry(ConnectionRegistry):
    """The connections that every process shares.

    A row of a newer version that cannot be understood is left out of `all`; to `get` it is `Unavailable`, because to
    say that there is no such connection would make its jobs fail for good.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def get(self, name: str) -> Connection | None:
        """Read one row."""
        if not NAME.fullmatch(name):
            return None  # among others a NUL, which Postgres takes for no text
        async with self._connections.looking() as session:
            rows = await session.fetch(GET, name)
        if not rows:
            return None
        try:
            return read(rows[0]["spec"])
        except NotUnderstood as error:
            raise Unavailable(
                f"connection {name} was written by another version of OpsConnect ({error}); update this process"
            ) from error

    async def all(self) -> Sequence[Connection]:
        """Read every row, byte by byte in order as Python sorts."""
        async with self._connections.looking() as session:
            rows = await session.fetch(ALL)
        return [connection for row in rows if (connection := understood(row["spec"])) is not None]


def understood(spec: str) -> Connection | None:
    """Read a row; None where another version wrote it."""
    try:
        return read(spec)
    except NotUnderstood:
        return None
