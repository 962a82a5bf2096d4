"""The configuration in Postgres: a row each, whose version goes up when it really changes."""

from collections.abc import Callable, Sequence
from operator import eq
from typing import TypeVar

from app.adapters.postgres import connection_spec, source_spec
from app.adapters.postgres.connections import Connections, Session
from app.adapters.postgres.registries import understood
from app.core.domain.connection import Connection
from app.core.domain.connection_difference import is_same
from app.core.domain.errors import RowFault, Unavailable
from app.core.domain.source import Source
from app.core.ports.configuration import Applied, Change, Configuration

# One apply at a time: two that compare and then write would each miss what the other changed. Locks 7310001 and
# 7310002 are the migrations' and the partitions'.
LOCK = "SELECT pg_advisory_xact_lock(7310004)"

SOURCES = "SELECT name, spec FROM sources WHERE name = ANY($1::text[])"
CONNECTIONS = "SELECT name, spec FROM connections WHERE name = ANY($1::text[])"

WRITE_SOURCES = """
INSERT INTO sources AS s (name, spec)
SELECT name, spec::json FROM unnest($1::text[], $2::text[]) AS t(name, spec)
ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, version = s.version + 1, updated_at = now()
"""

WRITE_CONNECTIONS = """
INSERT INTO connections AS c (name, spec)
SELECT name, spec::json FROM unnest($1::text[], $2::text[]) AS t(name, spec)
ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, version = c.version + 1, updated_at = now()
"""

Named = TypeVar("Named", Source, Connection)


class PostgresConfiguration(Configuration):
    """What every process shares. What another version wrote, so that it is not understood, counts as changed."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def apply(
        self, sources: Sequence[Source], connections: Sequence[Connection] = (), *, dry_run: bool = False
    ) -> Applied:
        """Compare under a lock, write what differs."""
        if dry_run:
            async with self._connections.looking() as session:
                return await _compare(session, sources, connections)
        try:
            async with self._connections.session() as session, session.transaction():
                await session.execute(LOCK)
                applied = await _compare(session, sources, connections)
                await _write(session, WRITE_CONNECTIONS, connections, applied.connections, connection_spec.written)
                await _write(session, WRITE_SOURCES, sources, applied.sources, source_spec.written)
        except RowFault as error:
            raise Unavailable(f"{error}; somebody else may be applying: try again") from error
        return applied


async def _compare(session: Session, sources: Sequence[Source], connections: Sequence[Connection]) -> Applied:
    return Applied(
        await _changes(session, SOURCES, sources, source_spec.read, eq),
        await _changes(session, CONNECTIONS, connections, connection_spec.read, is_same),
    )


async def _changes(
    session: Session,
    some: str,
    wanted: Sequence[Named],
    read: Callable[[str], Named],
    same: Callable[[Named, Named], bool],
) -> list[Change]:
    if not wanted:
        return []
    rows = await session.fetch(some, [one.name for one in wanted])
    known = {row["name"]: understood(read, row["spec"]) for row in rows}
    changes: list[Change] = []
    for one in wanted:
        before = known.get(one.name)
        if one.name not in known:
            changes.append("created")
        else:
            changes.append("unchanged" if before is not None and same(before, one) else "changed")
    return changes


async def _write(
    session: Session,
    statement: str,
    wanted: Sequence[Named],
    changes: Sequence[Change],
    written: Callable[[Named], str],
) -> None:
    different = [one for one, change in zip(wanted, changes, strict=True) if change != "unchanged"]
    if different:
        await session.execute(statement, [one.name for one in different], [written(one) for one in different])
