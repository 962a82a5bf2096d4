"""A serving process on the shared servers, with the sources that most stories need."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from app.adapters.memory.audit_log import MemoryAuditLog
from app.adapters.memory.outgoing import MemoryOutgoing
from app.adapters.postgres.configuration import PostgresConfiguration
from app.adapters.postgres.connections import Connections
from app.adapters.postgres.registries import PostgresConnectionRegistry, PostgresSourceRegistry
from app.adapters.schemas.json_schema import JsonSchemas
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.file import FileSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.core.domain.document import Document
from app.core.domain.outgoing import OutgoingAnswer, OutgoingRequest
from app.core.use_cases.apply_configuration import ApplyConfiguration
from app.infra.connectors import find_connectors
from tests.conftest import KEPT, PATIENT, Servers, empty
from tests.e2e.api import Api, serving
from tests.e2e.sender import SECRET
from tests.operators import ADA

DEMO = {
    "name": "demo",
    "provider": "hmac",
    "verify": {"header": "X-Signature", "prefix": "sha256="},
    "delivery_key": "header:X-Delivery-Id",
    "secrets": ["env:DEMO_SECRET"],
}
BOTH_WAYS = pytest.mark.parametrize("intake_path", ["express", "asgi"], scope="module")
"""For stories of intake: each is told of both ways that a webhook can go (docs/adr/0012)."""

OPEN = {"name": "open", "provider": "test", "verify": "none"}
SALESFORCE = {"name": "salesforce", "provider": "salesforce", "verify": "none"}


def configure(database_url: str, *sources: dict[str, Any], connections: Sequence[dict[str, Any]] = ()) -> None:
    """Apply these in this process, a second sooner than by the command line (which has stories of its own)."""

    async def run() -> None:
        pool = Connections(database_url, budget=PATIENT, largest=1)
        stores = ReferencedSecrets({"env": EnvironmentSecrets({"DEMO_SECRET": SECRET}), "file": FileSecrets()})
        try:
            apply = ApplyConfiguration(
                PostgresConfiguration(pool),
                PostgresSourceRegistry(pool),
                PostgresConnectionRegistry(pool),
                find_connectors(MemoryOutgoing(_nobody, {}), JsonSchemas()) if connections else {},
                stores,
                JsonSchemas(),
                MemoryAuditLog(),
            )
            await apply(Document({"connections": list(connections), "sources": list(sources)}), ADA)
        finally:
            await pool.close()

    asyncio.run(run())


async def _nobody(_: OutgoingRequest) -> OutgoingAnswer:
    return OutgoingAnswer(503, [], b"", False)


@pytest.fixture(scope="module")
def intake_path() -> str:
    """Which way webhooks go, where a story is not told of `BOTH_WAYS`."""
    return "express"


@pytest.fixture(scope="module")
def running_api(servers: Servers, tmp_path_factory: pytest.TempPathFactory, intake_path: str) -> Iterator[Api]:
    """`opsconnect serve` for all stories of a file: to start is what takes long."""
    url = servers.create_database()
    folder = tmp_path_factory.mktemp("api")
    configure(url, DEMO, OPEN, SALESFORCE)
    more = {"DEMO_SECRET": SECRET, "OPSCONNECT_INTAKE_PATH": intake_path}
    with serving(url, servers.redis.url(), folder, **more) as running:
        yield running
    asyncio.run(servers.drop_database(url))


@pytest.fixture
def api(running_api: Api) -> Api:
    """The same with nothing kept, neither in its tables nor in Redis, and nothing said so far."""
    start_afresh(running_api)
    return running_api


def start_afresh(api: Api) -> None:
    """Empty what it keeps; its sources stay."""
    asyncio.run(empty(api.database_url, *KEPT))
    assert api.redis_url is not None
    with redis.Redis.from_url(api.redis_url) as client:
        client.flushall()
    api.said_before = api.log.stat().st_size


@pytest.fixture
def own_api(own_servers: Servers, tmp_path: Path, intake_path: str) -> Iterator[Api]:
    """The same on servers that the test may kill."""
    configure(own_servers.postgres.url(), DEMO, OPEN, SALESFORCE)
    more = {"DEMO_SECRET": SECRET, "OPSCONNECT_INTAKE_PATH": intake_path}
    with serving(own_servers.postgres.url(), own_servers.redis.url(), tmp_path, **more) as running:
        yield running


async def rows(url: str, query: str, *values: Any) -> list[asyncpg.Record]:
    """Look into the database, beside the process."""
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query, *values))
    finally:
        await connection.close()


@asynccontextmanager
async def at_revision(url: str, revision: str) -> AsyncIterator[None]:
    """Let the database be another version's for a while."""
    (before,) = (row[0] for row in await rows(url, "SELECT version_num FROM alembic_version"))
    change = "UPDATE alembic_version SET version_num = $1"
    await rows(url, change, revision)
    try:
        yield
    finally:
        await rows(url, change, before)


async def stop_backends(url: str, servers: Servers) -> list[int]:
    """SIGSTOP the server and each of its backends; give their pids."""
    backends = [int(row["pid"]) for row in await rows(url, "SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL")]
    family = [servers.postgres.pid, *backends]
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    return family
