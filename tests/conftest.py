"""Real servers for every test: one Postgres and one Redis-compatible server a run, a database of its own a test.

Where the tests of a file leave the schema as it is, they share a database: `database_url` is `emptied_database` there.
"""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from app.adapters.postgres.connections import Budget
from app.infra.embedded import PostgresServer, RedisServer, claim, find_redis
from app.infra.migrations import migrate

# For tests that are not about waiting: this machine may be busy.
PATIENT = Budget(acquire_seconds=10, connect_seconds=10, call_seconds=10, lock_seconds=10, statement_seconds=10)
TEMPLATE = "opsconnect"
KEPT = (
    *("inbox", "conflicts", "delivery_keys", "event_states", "events", "refusals"),
    *("body_digests", "replay_looks", "registered_secrets", "registrations"),
    *("open_jobs", "finished_jobs", "workers"),
    *("api_keys", "audit_log"),
)
"""The tables that fill while it serves."""
DISCONNECT = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
"""
BEGIN_ANEW = """
SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S';
INSERT INTO replay_looks SELECT name, opsconnect_first_id((now() AT TIME ZONE 'UTC')::date)
FROM unnest(ARRAY['first', 'second']) AS name
"""
"""As the migrations leave it: numbers begin with one, and replays are looked for from today on."""
_numbers = count(1)


@dataclass
class Servers:
    """A Postgres and a Redis-compatible server, direct children of this process."""

    postgres: PostgresServer
    redis: RedisServer
    folder: Path

    def create_database(self) -> str:
        """Copy the migrated template; give the URL. Some 300 ms of work, for there are many partitions."""
        name = f"test_{next(_numbers)}"
        statement = f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER opsconnect STRATEGY WAL_LOG"
        asyncio.run(self._as_superuser(statement))
        return self.postgres.url(name)

    async def drop_database(self, url: str) -> None:
        """Take it away, whoever is still on it."""
        await self._as_superuser(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    async def _as_superuser(self, statement: str) -> None:
        connection = await asyncpg.connect(self.postgres.superuser_url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def run_servers(folder: Path, made: Path | None = None) -> Iterator[Servers]:
    """Start both servers on a folder, with a migrated database; stop them afterwards.

    A folder that was `made` before is copied, which is quicker than to make one.
    """
    if made is not None:
        copy_of(made, folder)
    program, missing = find_redis()
    assert program, missing
    with claim(folder) as data:
        postgres, redis = PostgresServer(data), RedisServer(data, program)
        try:
            postgres.start()
            redis.start()
            migrate(postgres.url(TEMPLATE))
            yield Servers(postgres, redis, folder)
        finally:
            redis.stop()
            postgres.stop()


def copy_of(made: Path, folder: Path) -> None:
    """Copy the data folder of servers that are stopped; the copy's servers have ports and logs of their own."""
    subprocess.run(["cp", "-a", made, folder], check=True)
    for what in ("ports", "log"):
        shutil.rmtree(folder / what)


@pytest.fixture(scope="session")
def made_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a migrated database, whose servers are stopped; to make it takes two seconds."""
    folder = tmp_path_factory.mktemp("made") / "data"
    with contextmanager(run_servers)(folder):
        pass
    return folder


@pytest.fixture(scope="session")
def servers(made_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The servers of this run, for everybody; who kills servers takes `own_servers`."""
    yield from run_servers(tmp_path_factory.mktemp("servers") / "data", made_folder)


@pytest.fixture
def own_servers(made_folder: Path, tmp_path: Path) -> Iterator[Servers]:
    """Servers of the test's own, to kill, freeze and flush."""
    yield from run_servers(tmp_path / "data", made_folder)


@pytest.fixture
def database_url(servers: Servers) -> Iterator[str]:
    """A migrated, empty database of the test's own."""
    url = servers.create_database()
    yield url
    asyncio.run(servers.drop_database(url))


@pytest.fixture(scope="module")
def one_database(servers: Servers) -> Iterator[str]:
    """A migrated database for all tests of a file: to make one takes ten times as long as to empty it."""
    url = servers.create_database()
    yield url
    asyncio.run(servers.drop_database(url))


@pytest.fixture
def emptied_database(one_database: str, servers: Servers) -> str:
    """The same as it was when it was made, but for what a test did to the schema; and nothing in Redis."""
    asyncio.run(empty(one_database, *KEPT, "sources", "connections", first=DISCONNECT, then=BEGIN_ANEW))
    with redis.Redis.from_url(servers.redis.url()) as client:
        client.flushall()
    return one_database


async def empty(database_url: str, *tables: str, first: str = "", then: str = "") -> None:
    """Delete all rows; some milliseconds. Of the audit log too: its owner can, though no role that serves can."""
    connection = await asyncpg.connect(database_url)
    statements = [f"DELETE FROM {table}" for table in tables]
    if "audit_log" in tables:
        unguarded, guarded = (f"ALTER TABLE audit_log {what} TRIGGER USER" for what in ("DISABLE", "ENABLE"))
        statements = [unguarded, *statements, guarded]
    await connection.execute("; ".join([first, *statements, then]))
    await connection.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Any]:
    """A plain connection to the test's own database, to look and meddle from the side."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """The shared Redis-compatible server; delivery keys of different tests do not meet in practice."""
    return servers.redis.url()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return Path(__file__).parent.parent
