"""A serving process on the shared servers, with the sources that most stories need."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.conftest import Servers
from tests.e2e.api import Api, serving
from tests.e2e.sender import SECRET

DEMO = {
    "name": "demo",
    "provider": "hmac",
    "verify": {"header": "X-Signature", "prefix": "sha256="},
    "delivery_key": "header:X-Delivery-Id",
    "secrets": ["env:DEMO_SECRET"],
}
OPEN = {"name": "open", "provider": "test", "verify": "none"}
SALESFORCE = {"name": "salesforce", "provider": "salesforce", "verify": "none"}


@pytest.fixture
def api(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    """`opsconnect serve` on a database of its own and the shared Redis."""
    with serving(database_url, redis_url, tmp_path, DEMO_SECRET=SECRET) as running:
        running.apply(DEMO, OPEN, SALESFORCE)
        yield running


@pytest.fixture
def own_api(own_servers: Servers, tmp_path: Path) -> Iterator[Api]:
    """The same on servers that the test may kill."""
    with serving(own_servers.postgres.url(), own_servers.redis.url(), tmp_path, DEMO_SECRET=SECRET) as running:
        running.apply(DEMO, OPEN, SALESFORCE)
        yield running


async def rows(url: str, query: str, *values: Any) -> list[asyncpg.Record]:
    """Look into the database, beside the process."""
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query, *values))
    finally:
        await connection.close()
