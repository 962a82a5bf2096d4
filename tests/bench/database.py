"""A database of a variant's own, looked at from the side."""

import asyncio
from typing import Any

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

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Give all rows of a query."""
        return asyncio.run(self._rows(query, values))

    def row(self, query: str, *values: object) -> tuple[Any, ...]:
        """Give the one row of a query."""
        (row,) = self.rows(query, *values)
        return row

    async def _run(self, statements: tuple[str, ...]) -> None:
        connection = await asyncpg.connect(self._superuser_url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(self._superuser_url)
        try:
            return [tuple(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()
