"""What only Postgres can say of refusals: whatever a stranger wrote is kept, and trimming gets in nobody's way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from app.adapters.postgres.connections import Connections
from app.adapters.postgres.engine import make_engine
from app.adapters.postgres.refusal_store import PostgresRefusalStore
from app.core.domain.errors import Unavailable
from app.core.domain.refusal import new_refusal
from app.core.ports.refusal_store import RefusalQuery
from tests.conftest import PATIENT
from tests.refusals import T0, a_refusal

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
EVERY_BYTE = bytes(range(256))


@pytest.fixture
def database_url(emptied_database: str) -> str:
    """One for all of them: nobody changes the schema."""
    return emptied_database


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresRefusalStore]:
    async with AsyncExitStack() as stack:
        connections = Connections(database_url, budget=PATIENT, largest=2)
        stack.push_async_callback(connections.close)
        engine = make_engine(database_url, budget=PATIENT, largest=1)
        stack.push_async_callback(engine.dispose)
        yield PostgresRefusalStore(connections, engine)


async def test_whatever_a_stranger_wrote_can_be_kept(store: PostgresRefusalStore) -> None:
    """One row that Postgres takes for no text would stand in the way of its neighbours."""
    refusal = new_refusal(
        received_ns=T0,
        source="demo",
        provider="hmac",
        code="signature_mismatch",
        detail="\0\ud800\x1b",
        method="POST",
        target=EVERY_BYTE,
        client="192.0.2.7",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        headers=[(EVERY_BYTE, EVERY_BYTE)],
        body=EVERY_BYTE,
    )
    await store.keep([refusal])
    kept = await store.get(refusal.id)
    assert kept is not None
    assert (kept.headers, kept.body, kept.url) == (refusal.headers, EVERY_BYTE, refusal.url)


async def test_while_one_process_trims_the_others_leave_it_to_that_one(
    store: PostgresRefusalStore, database: Any
) -> None:
    await store.keep([a_refusal(number) for number in range(3)])
    async with database.transaction():
        await database.execute("SELECT pg_advisory_xact_lock(7310005)")
        async with asyncio.timeout(5):
            assert await store.trim(count=1, weight=10**9, before=LONG_AGO, at_most=10) == 0
    assert await store.trim(count=1, weight=10**9, before=LONG_AGO, at_most=10) == 2


async def test_a_store_that_is_away_says_so() -> None:
    away = "postgresql://nobody@127.0.0.1:1/nothing"
    connections = Connections(away, budget=PATIENT, largest=1)
    engine = make_engine(away, budget=PATIENT, largest=1)
    gone = PostgresRefusalStore(connections, engine)
    for asked in (
        gone.keep([a_refusal()]),
        gone.find(RefusalQuery()),
        gone.get(a_refusal().id),
        gone.trim(count=1, weight=1, before=LONG_AGO, at_most=1),
    ):
        with pytest.raises(Unavailable):
            await asked
    await connections.close()
    await engine.dispose()
