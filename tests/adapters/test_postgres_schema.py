"""The migrations make what the code expects, by our command and by Alembic's own, and can be taken back."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import alembic.command
import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from app.adapters.postgres.connections import Budget, Connections
from app.adapters.postgres.engine import make_engine
from app.adapters.postgres.event_store import PostgresEventStore
from app.adapters.postgres.tables import metadata
from app.core.ports.event_store import Appended
from app.infra.migrations import _config, migrate, newest
from tests.conformance.stores import append, new_event
from tests.conftest import PATIENT, Servers
from tests.e2e import commands


def run(url: str, statement: str) -> Any:
    async def ask() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(ask())


def is_partition(name: str | None) -> bool:
    return name is not None and name.startswith(
        ("events_2", "event_states_2", "finished_jobs_2", "delivery_keys_", "body_digests_")
    )


def test_the_tables_in_code_are_those_of_the_migrations(database_url: str) -> None:
    """Partitions and their indexes are made by the database itself, and are no part of the code's view."""

    def differences(connection: Connection) -> list[Any]:
        def included(_: Any, name: str | None, kind: str, reflected: bool, __: Any) -> bool:
            return not (reflected and is_partition(name)) and not (kind == "table" and name == "alembic_version")

        context = MigrationContext.configure(connection, opts={"include_object": included, "compare_type": True})
        return list(compare_metadata(context, metadata))

    async def ask() -> list[Any]:
        engine = make_engine(database_url, budget=PATIENT, largest=1)
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(differences)
        finally:
            await engine.dispose()

    assert asyncio.run(ask()) == []


def test_nothing_but_its_key_keeps_a_delivery_out(database_url: str) -> None:
    """APPEND names no target for its conflicts: by another unique index events would be taken for duplicates."""
    unique = """
        SELECT array_agg(DISTINCT (SELECT string_agg(attname, ',') FROM pg_attribute
                                   WHERE attrelid = indrelid AND attnum = ANY (indkey)))
        FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
        WHERE (indisunique OR indisexclusion) AND relname ~ '^delivery_keys'
    """
    assert run(database_url, unique) == ["key"]


def test_migrating_twice_changes_nothing_and_tells_so(database_url: str) -> None:
    assert migrate(database_url) == (newest(), newest())


def test_several_processes_migrate_one_after_the_other(servers: Servers, repository: Path, tmp_path: Path) -> None:
    """Started together on an empty database, as replicas do: one works, the others find it done."""
    url = servers.create_database()
    alembic.command.downgrade(_config(url), "base")
    environment = {**os.environ, "OPSCONNECT_DATABASE_URL": url}
    with (tmp_path / "log").open("wb") as log:
        out = log.fileno()
        started = [commands.Forked(["migrate"], environment, repository, out, out) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0], (tmp_path / "log").read_text()
    assert run(url, "SELECT version_num FROM alembic_version") == newest()


def test_alembic_s_own_command_does_the_same(servers: Servers, repository: Path) -> None:
    url = servers.create_database()
    alembic.command.downgrade(_config(url), "base")
    assert run(url, "SELECT to_regclass('events')") is None
    environment = {**os.environ, "OPSCONNECT_DATABASE_URL": url}
    command = [str(Path(sys.executable).parent / "alembic"), "upgrade", "head"]
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert run(url, "SELECT to_regclass('events')") == "events"


@pytest.mark.parametrize(
    ("before", "table"), [("0003", "event_states"), ("0007", "delivery_keys")], ids=["a column more", "an index less"]
)
async def test_a_table_changes_while_events_come_in(database_url: str, database: Any, before: str, table: str) -> None:
    """Somebody looks at it for long, so the migration waits for its lock; no append waits behind it."""
    await asyncio.to_thread(alembic.command.downgrade, _config(database_url), before)
    connections = Connections(database_url, budget=Budget(connect_seconds=10, call_seconds=10), largest=1)
    store = PostgresEventStore(connections)
    waiting = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"
    try:
        async with database.transaction():
            await database.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
            migrating = asyncio.create_task(asyncio.to_thread(migrate, database_url))
            async with asyncio.timeout(20):
                while not await database.fetchval(waiting):
                    await asyncio.sleep(0.01)
            for number in range(5):
                assert isinstance((await append(store, new_event(str(number))))[0], Appended)
            assert not migrating.done()
        assert await migrating == (before, newest())
    finally:
        await connections.close()


def test_days_are_partitions_of_their_own(database_url: str) -> None:
    """Today's and those of the week to come are there from the start."""
    count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'events'::regclass"
    assert run(database_url, count) >= 8
    assert run(database_url, "SELECT to_regclass('events_' || to_char(current_date, 'YYYYMMDD')) IS NOT NULL")
