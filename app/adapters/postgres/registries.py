"""Sources and connections in Postgres, looked at: a row each, with its name and what stands of it in a file."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from app.adapters.postgres import connection_spec, source_spec
from app.adapters.postgres.connections import Connections
from app.adapters.postgres.source_spec import NotUnderstood
from app.core.domain.connection import Connection
from app.core.domain.errors import Unavailable
from app.core.domain.source import NAME, Source
from app.core.ports.connection_registry import ConnectionRegistry
from app.core.ports.source_registry import SourceRegistry

T = TypeVar("T")


def understood(read: Callable[[str], T], spec: str) -> T | None:
    """Read a row; None where another version wrote it."""
    try:
        return read(spec)
    except NotUnderstood:
        return None


class _Registry(Generic[T]):
    """What every process shares.

    A row of a newer version that cannot be understood is left out of `all`; to `get` it is `Unavailable`: to say that
    there is no such source would make its provider give up, and without a connection its jobs would fail for good.
    """

    def __init__(self, connections: Connections, kind: str, read: Callable[[str], T]) -> None:
        """Its table is called after the kind."""
        self._connections = connections
        self._kind = kind
        self._read = read
        self._get = f"SELECT spec FROM {kind}s WHERE name = $1"  # noqa: S608 (a word of ours)
        self._all = f'SELECT spec FROM {kind}s ORDER BY name COLLATE "C"'  # noqa: S608

    async def get(self, name: str) -> T | None:
        """Read one row."""
        if not NAME.fullmatch(name):
            return None  # among others a NUL, which Postgres takes for no text
        async with self._connections.looking() as session:
            rows = await session.fetch(self._get, name)
        if not rows:
            return None
        try:
            return self._read(rows[0]["spec"])
        except NotUnderstood as error:
            raise Unavailable(
                f"{self._kind} {name} was written by another version of OpsConnect ({error}); update this process"
            ) from error

    async def all(self) -> Sequence[T]:
        """Read every row, byte by byte in order as Python sorts."""
        async with self._connections.looking() as session:
            rows = await session.fetch(self._all)
        return [one for row in rows if (one := understood(self._read, row["spec"])) is not None]


class PostgresSourceRegistry(_Registry[Source], SourceRegistry):
    """The sources."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections, "source", source_spec.read)


class PostgresConnectionRegistry(_Registry[Connection], ConnectionRegistry):
    """The connections to other systems."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections, "connection", connection_spec.read)
