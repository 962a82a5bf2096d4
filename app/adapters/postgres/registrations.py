"""Registrations in Postgres. A registration is over when there is a secret with its time; a unique key lets one in."""

from datetime import datetime
from typing import Any

from app.adapters.postgres.connections import Connections
from app.core.domain.errors import RowFault, Unavailable
from app.core.domain.registration import MOST_SECRETS, PENDING, KeptSecret, Registration
from app.core.domain.sealed import Sealed
from app.core.domain.source import NAME
from app.core.ports.registrations import Registrations

_OPEN = """
INSERT INTO registrations (source, opened_at)
SELECT $1, now() WHERE (SELECT count(*) FROM registered_secrets WHERE source = $1) < $2
ON CONFLICT (source) DO UPDATE SET opened_at = excluded.opened_at
RETURNING opened_at
"""

_KEEP = """
INSERT INTO registered_secrets (source, opened_at, key_id, sealed)
SELECT source, opened_at, $2, $3 FROM registrations WHERE source = $1 AND now() < opened_at + $4::interval
ON CONFLICT (source, opened_at) DO NOTHING
RETURNING id
"""

# One row at least, whatever there is.
_LOOK = """
SELECT r.opened_at, s.id, s.kept_at, s.key_id, s.sealed,
       now() < r.opened_at + $2::interval AND NOT EXISTS (
           SELECT FROM registered_secrets b WHERE b.source = r.source AND b.opened_at = r.opened_at
       ) AS pending
FROM (VALUES ($1::text)) AS asked (source)
LEFT JOIN registrations r USING (source)
LEFT JOIN registered_secrets s USING (source)
ORDER BY s.id DESC
"""

# With the registration that it ended, which would be pending again without it.
_FORGET = """
WITH forgotten AS (
    DELETE FROM registered_secrets WHERE source = $1 AND id = $2 RETURNING source, opened_at
), ended AS (
    DELETE FROM registrations r USING forgotten f WHERE r.source = f.source AND r.opened_at = f.opened_at
)
SELECT source FROM forgotten
"""

_LARGEST_ID = 2**63 - 1


class PostgresRegistrations(Registrations):
    """Two small tables, and one statement a call."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def open(self, source: str) -> datetime | None:
        """Insert or update one row."""
        opened_at: datetime | None = await self._changed(_OPEN, source, MOST_SECRETS)
        return opened_at + PENDING if opened_at else None

    async def keep(self, source: str, sealed: Sealed) -> bool:
        """Insert where a registration is pending; of many at once the unique key decides."""
        return await self._changed(_KEEP, source, sealed.key_id, sealed.content, PENDING) is not None

    async def look(self, source: str) -> Registration:
        """Read the registration and its few secrets."""
        if not NAME.fullmatch(source):
            return Registration()  # among others a NUL, which Postgres takes for no text
        async with self._connections.looking() as session:
            rows = await session.fetch(_LOOK, source, PENDING)
        secrets = tuple(
            KeptSecret(row["id"], row["kept_at"], Sealed(row["key_id"], row["sealed"])) for row in rows if row["id"]
        )
        return Registration(rows[0]["opened_at"], bool(rows[0]["pending"]), secrets)

    async def forget(self, source: str, secret_id: int) -> bool:
        """Delete one row, or two."""
        if not 0 < secret_id <= _LARGEST_ID:
            return False
        return await self._changed(_FORGET, source, secret_id) is not None

    async def _changed(self, statement: str, source: str, *values: object) -> Any:
        """Run a statement on one source; give the first column of its row, None where it has none."""
        if not NAME.fullmatch(source):
            return None
        try:
            async with self._connections.session() as session:
                return await session.fetchval(statement, source, *values)
        except RowFault as error:
            raise Unavailable(f"{error}; somebody else has it in hand, try again") from error
