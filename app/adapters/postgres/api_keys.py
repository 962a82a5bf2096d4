"""API keys in Postgres: a row each, found by the digest. Looked for on the operators' door, never on intake's."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.postgres.connections import Connections
from app.adapters.postgres.engine import reading
from app.adapters.postgres.tables import api_keys as table
from app.core.domain.api_key import ApiKey, NewApiKey, Scope
from app.core.domain.errors import RowFault, Unavailable
from app.core.domain.ids import ApiKeyId
from app.core.ports.api_keys import ApiKeys

_CREATE = """
INSERT INTO api_keys (id, name, prefix, digest, scope, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (name) DO NOTHING
RETURNING created_at
"""

_REVOKE = "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1"

# A process that notes an earlier use after another one has noted a later one changes nothing.
_NOTE_USES = """
UPDATE api_keys k SET last_used_at = used.at
FROM unnest($1::uuid[], $2::timestamptz[]) AS used(id, at)
WHERE k.id = used.id AND (k.last_used_at IS NULL OR k.last_used_at < used.at)
"""

_SHOWN = tuple(column for column in table.c if column.name != "digest")


class PostgresApiKeys(ApiKeys):
    """One small table."""

    def __init__(self, connections: Connections, engine: AsyncEngine) -> None:
        self._connections = connections
        self._engine = engine

    async def create(self, key: NewApiKey) -> ApiKey | None:
        """Insert a row; the unique name lets one in."""
        try:
            async with self._connections.session() as session:
                created_at = await session.fetchval(_CREATE, *key)
        except RowFault as error:
            raise Unavailable(f"{error}; somebody else has it in hand, try again") from error
        if created_at is None:
            return None
        return ApiKey(key.id, key.name, key.prefix, key.scope, created_at, key.expires_at, None, None)

    async def find(self, digest: bytes) -> ApiKey | None:
        """Look one up by its unique digest."""
        statement = select(*_SHOWN).where(table.c.digest == digest, table.c.revoked_at.is_(None))
        async with reading(self._engine) as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _key(row)

    async def all(self) -> Sequence[ApiKey]:
        """Read every row along the primary key."""
        async with reading(self._engine) as connection:
            return [_key(row) for row in await connection.execute(select(*_SHOWN).order_by(table.c.id))]

    async def revoke(self, key_id: ApiKeyId) -> bool:
        """Update one row."""
        return await self._changed(_REVOKE, key_id) > 0

    async def note_uses(self, uses: Mapping[ApiKeyId, datetime]) -> None:
        """Update all of them by one statement."""
        if uses:
            await self._changed(_NOTE_USES, list(uses), list(uses.values()))

    async def _changed(self, statement: str, *values: object) -> int:
        try:
            async with self._connections.session() as session:
                return int((await session.execute(statement, *values)).rpartition(" ")[2])
        except RowFault as error:
            raise Unavailable(f"{error}; somebody else has it in hand, try again") from error


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=ApiKeyId(row.id),
        name=row.name,
        prefix=row.prefix,
        scope=Scope(row.scope),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
