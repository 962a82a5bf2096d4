"""Sources in Postgres, looked at."""

from collections.abc import Sequence

from app.adapters.postgres.connections import Connections
from app.adapters.postgres.source_spec import NotUnderstood, read
from app.core.domain.errors import Unavailable
from app.core.domain.source import NAME, Source
from app.core.ports.source_registry import SourceRegistry

GET = "SELECT spec FROM sources WHERE name = $1"
ALL = 'SELECT spec FROM sources ORDER BY name COLLATE "C"'


class PostgresSourceRegistry(SourceRegistry):
    """The sources that every process shares.

    A row of a newer version that cannot be understood is left out of `all`; to `get` it is `Unavailable`, because to
    say that there is no such source would make its provider give up.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def get(self, name: str) -> Source | None:
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
                f"source {name} was written by another version of OpsConnect ({error}); update this process"
            ) from error

    async def all(self) -> Sequence[Source]:
        """Read every row, byte by byte in order as Python sorts."""
        async with self._connections.looking() as session:
            rows = await session.fetch(ALL)
        return [source for row in rows if (source := understood(row["spec"])) is not None]


def understood(spec: str) -> Source | None:
    """Read a row; None where another version wrote it."""
    try:
        return read(spec)
    except NotUnderstood:
        return None
