"""Real servers for every test: one Postgres and one Redis-compatible server a run, a database of its own a test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from app.infra.embedded import EmbeddedServers, start
from app.infra.migrations import migrate

_numbers = count(1)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """A Postgres and a Redis-compatible server of this run's own; do not kill these."""
    with start(tmp_path_factory.mktemp("servers")) as running:
        yield running


@pytest.fixture(scope="session")
def template(servers: EmbeddedServers) -> str:
    """A migrated database to copy from."""
    migrate(servers.database_url)
    return servers.database_url


@pytest.fixture
async def database_url(servers: EmbeddedServers, template: str) -> AsyncIterator[str]:
    """A migrated, empty database of the test's own (a copy of the template takes some 30 ms)."""
    name = f"test_{next(_numbers)}"
    admin = await asyncpg.connect(_database(template, "postgres"))
    source = template.rpartition("/")[2]
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY WAL_LOG")
        yield _database(template, name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
def redis_url(servers: EmbeddedServers) -> str:
    """The shared Redis-compatible server; keys are random enough not to meet."""
    assert servers.redis_url is not None, servers.redis_missing
    return servers.redis_url


def _database(url: str, name: str) -> str:
    return url.rpartition("/")[0] + "/" + name


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return Path(__file__).parent.parent


@pytest.fixture(autouse=True)
async def no_task_is_left_behind() -> AsyncIterator[None]:
    """A test that leaves tasks running would disturb the next one, and hides a leak."""
    before = asyncio.all_tasks()
    yield
    deadline = asyncio.get_running_loop().time() + 3
    while (left := asyncio.all_tasks() - before) and asyncio.get_running_loop().time() < deadline:
        await asyncio.wait(left, timeout=0.1)
    assert not left
