"""What is special about the audit log in Postgres: nobody changes it, and who waits too long has done nothing."""

from typing import Any

import asyncpg
import pytest

from app.adapters.postgres.audit_log import PostgresAuditLog
from app.adapters.postgres.connections import Budget, Connections
from app.adapters.postgres.engine import make_engine
from app.core.domain.audit import Action
from app.core.domain.errors import Unavailable
from app.core.ports.audit_log import AuditQuery
from tests.operators import ADA

IMPATIENT = Budget(acquire_seconds=10, connect_seconds=10, call_seconds=10, lock_seconds=0.05, statement_seconds=10)
NEW = ADA.does(Action.KEY_REVOKE, "deploy")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'key:bob'",
        "UPDATE audit_log SET actor = 'key:bob' WHERE false",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
    ],
)
async def test_not_even_its_owner_changes_it_in_passing(database: Any, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="audit_log is only ever added to"):
        await database.execute(statement)


async def test_who_waits_too_long_for_the_end_of_the_chain_is_told_that_nothing_was_done(
    database_url: str, database: Any
) -> None:
    """And whoever has it goes on."""
    connections = Connections(database_url, budget=IMPATIENT, largest=1)
    engine = make_engine(database_url, budget=IMPATIENT, largest=1)
    log = PostgresAuditLog(connections, engine)
    try:
        async with database.transaction():
            await database.execute("SELECT pg_advisory_xact_lock(7310006)")
            with pytest.raises(Unavailable, match=r"could not be written, so nothing was done: .*lock timeout"):
                await log.append(NEW)
        assert (await log.append(NEW)).seq == 1
        await database.execute("ALTER TABLE audit_log RENAME TO elsewhere")
        with pytest.raises(Unavailable, match=r"so nothing was done: .*Run 'opsconnect migrate'"):
            await log.append(NEW)
        with pytest.raises(Unavailable, match="Run 'opsconnect migrate'"):
            await log.find(AuditQuery())
    finally:
        await connections.close()
        await engine.dispose()


async def test_where_postgres_is_away_nothing_was_done() -> None:
    connections = Connections("postgresql://nobody@127.0.0.1:1/none", budget=IMPATIENT, largest=1)
    engine = make_engine("postgresql://nobody@127.0.0.1:1/none", budget=IMPATIENT, largest=1)
    with pytest.raises(Unavailable, match=r"so nothing was done: no connection to Postgres at 127\.0\.0\.1:1"):
        await PostgresAuditLog(connections, engine).append(NEW)
    await engine.dispose()
