"""Sources in Postgres: a row each, whose version goes up when the source really changes."""

from collections.abc import Sequence

from app.adapters.postgres.connections import Connections, Session
from app.adapters.postgres.source_spec import NotUnderstood, read, written
from app.core.domain.errors import RowFault, Unavailable
from app.core.domain.source import NAME, Source
from app.core.ports.source_registry import Change, SourceRegistry

# One apply at a time: two that compare and then write would each miss what the other changed. Locks 7310001 and
# 7310002 are the migrations' and the partitions'.
LOCK = "SELECT pg_advisory_xact_lock(7310004)"

GET = "SELECT spec FROM sources WHERE name = $1"
ALL = 'SELECT spec FROM sources ORDER BY name COLLATE "C"'
SOME = "SELECT name, spec FROM sources WHERE name = ANY($1::text[])"

WRITE = """
INSERT INTO sources AS s (name, spec)
SELECT name, spec::json FROM unnest($1::text[], $2::text[]) AS t(name, spec)
ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, version = s.version + 1, updated_at = now()
"""


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
        return [source for row in rows if (source := _understood(row["spec"])) is not None]

    async def apply(self, sources: Sequence[Source], *, dry_run: bool = False) -> Sequence[Change]:
        """Compare under a lock, write what differs."""
        if dry_run:
            async with self._connections.looking() as session:
                return await _compare(session, sources)
        try:
            async with self._connections.session() as session, session.transaction():
                await session.execute(LOCK)
                changes = await _compare(session, sources)
                different = [source for source, change in zip(sources, changes, strict=True) if change != "unchanged"]
                if different:
                    await session.execute(
                        WRITE, [source.name for source in different], [written(source) for source in different]
                    )
        except RowFault as error:
            raise Unavailable(f"{error}; somebody else may be applying: try again") from error
        return changes


async def _compare(session: Session, sources: Sequence[Source]) -> list[Change]:
    rows = await session.fetch(SOME, [source.name for source in sources])
    known = {row["name"]: _understood(row["spec"]) for row in rows}
    return [_change(source, known) for source in sources]


def _change(source: Source, known: dict[str, Source | None]) -> Change:
    if source.name not in known:
        return "created"
    return "unchanged" if known[source.name] == source else "changed"


def _understood(spec: str) -> Source | None:
    try:
        return read(spec)
    except NotUnderstood:
        return None
