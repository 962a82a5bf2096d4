"""A serving process on the shared servers, with the sources that most stories need."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.adapters.postgres.connections import Connections
from app.adapters.postgres.source_registry import PostgresSourceRegistry
from app.adapters.schemas.json_schema import JsonSchemas
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.file import FileSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.core.domain.document import Document
from app.core.use_cases.apply_configuration import ApplyConfiguration
from tests.conftest import PATIENT, Servers
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


def configure(database_url: str, *sources: dict[str, Any]) -> None:
    """Apply sources in this process, a second sooner than by the command line (which has stories of its own)."""

    async def run() -> None:
        connections = Connections(database_url, budget=PATIENT, largest=1)
        stores = ReferencedSecrets({"env": EnvironmentSecrets({"DEMO_SECRET": SECRET}), "file": FileSecrets()})
        try:
            await ApplyConfiguration(PostgresSourceRegistry(connections), stores, JsonSchemas())(
                Document({"sources": list(sources)})
            )
        finally:
            await connections.close()

    asyncio.run(run())


@pytest.fixture
def api(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    """`opsconnect serve` on a database of its own and the shared Redis."""
    configure(database_url, DEMO, OPEN, SALESFORCE)
    with serving(database_url, redis_url, tmp_path, DEMO_SECRET=SECRET) as running:
        yield running


@pytest.fixture
def own_api(own_servers: Servers, tmp_path: Path) -> Iterator[Api]:
    """The same on servers that the test may kill."""
    configure(own_servers.postgres.url(), DEMO, OPEN, SALESFORCE)
    with serving(own_servers.postgres.url(), own_servers.redis.url(), tmp_path, DEMO_SECRET=SECRET) as running:
        yield running


async def rows(url: str, query: str, *values: Any) -> list[asyncpg.Record]:
    """Look into the database, beside the process."""
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query, *values))
    finally:
        await connection.close()
