"""What only Postgres can say of registrations: what goes with a source, and failures."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from app.adapters.postgres.connections import Budget, Connections
from app.adapters.postgres.registrations import PostgresRegistrations
from app.core.domain.errors import Unavailable
from app.core.domain.registration import Registration
from app.core.domain.sealed import Sealed
from tests.conftest import PATIENT

SEALED = Sealed("0123456789abcdef", b"sealed")


@pytest.fixture
def database_url(emptied_database: str) -> str:
    """One for all of them: nobody changes the schema."""
    return emptied_database


@pytest.fixture
async def store(database_url: str, database: Any) -> AsyncIterator[PostgresRegistrations]:
    await database.execute("INSERT INTO sources (name, spec) VALUES ('asana', '{}')")
    connections = Connections(database_url, budget=PATIENT, largest=4)
    yield PostgresRegistrations(connections)
    await connections.close()


async def test_with_a_source_go_its_secrets(store: PostgresRegistrations, database: Any) -> None:
    """A later source of the same name believes nobody whom the earlier one believed."""
    await store.open("asana")
    await store.keep("asana", SEALED)
    await database.execute("DELETE FROM sources WHERE name = 'asana'")
    assert await store.look("asana") == Registration()
    assert await database.fetchval("SELECT count(*) FROM registered_secrets") == 0


async def test_a_source_that_is_applied_again_keeps_its_secrets(store: PostgresRegistrations, database: Any) -> None:
    await store.open("asana")
    await store.keep("asana", SEALED)
    await database.execute("UPDATE sources SET spec = '{}', version = version + 1")
    assert len((await store.look("asana")).secrets) == 1


async def test_a_source_that_is_gone_meanwhile_opens_nothing(store: PostgresRegistrations, database: Any) -> None:
    await database.execute("DELETE FROM sources")
    with pytest.raises(Unavailable):
        await store.open("asana")


async def test_many_who_open_at_once_open_one(store: PostgresRegistrations) -> None:
    await asyncio.gather(*(store.open("asana") for _ in range(8)))
    assert await store.keep("asana", SEALED)
    assert not await store.keep("asana", SEALED)


async def test_a_table_that_somebody_holds_is_unavailable_and_not_waited_for(
    store: PostgresRegistrations, database_url: str, database: Any
) -> None:
    connections = Connections(database_url, budget=replace(PATIENT, lock_seconds=0.1), largest=1)
    impatient = PostgresRegistrations(connections)
    await store.open("asana")
    async with database.transaction():
        await database.execute("LOCK TABLE registrations, registered_secrets")
        for asked in (
            impatient.open("asana"),
            impatient.keep("asana", SEALED),
            impatient.look("asana"),
            impatient.forget("asana", 1),
        ):
            with pytest.raises(Unavailable):
                await asked
    assert await impatient.keep("asana", SEALED)
    await connections.close()


async def test_without_postgres_everything_is_unavailable() -> None:
    away = PostgresRegistrations(Connections("postgresql://nobody@127.0.0.1:1/none", budget=Budget(), largest=1))
    for asked in (away.open("asana"), away.keep("asana", SEALED), away.look("asana"), away.forget("asana", 1)):
        with pytest.raises(Unavailable):
            await asked
