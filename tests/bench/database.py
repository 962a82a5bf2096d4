"""A database of a variant's own, looked at from the side."""

import asyncio

import asyncpg

from tests.conftest import Servers


class Database:
    """One database, as the superuser sees it."""

    def __init__(self, servers: Servers) -> None:
        self.url = servers.create_database()
        self._superuser_url = servers.postgres.superuser_url(self.url.rpartition("/")[2])

    def run(self, *statements: str) -> None:
        """Run statements, each in a transaction of its own."""
        asyncio.run(self._run(statements))

    def row(self, query: str, *values: object) -> tuple[int, ...]:
        """Give the one row of a query."""
        return asyncio.run(self._row(query, values))

    async def _run(self, statements: tuple[str, ...]) -> None:
        connection = await asyncpg.connect(self._superuser_url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def _row(self, query: str, values: tuple[object, ...]) -> tuple[int, ...]:
        connection = await asyncpg.connect(self._superuser_url)
        try:
            row = await connection.fetchrow(query, *values)
        finally:
            await connection.close()
        assert row is not None
        return tuple(row)
