"""Upkeep: days are made before they come, delivery keys are forgotten when their time is up, and never before."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.adapters.postgres import upkeep
from app.adapters.postgres.connections import Connections
from app.adapters.postgres.event_store import PostgresEventStore
from app.adapters.postgres.upkeep import Upkeep
from app.core.ports.event_store import Appended, Duplicate
from tests.conformance.stores import append, new_event
from tests.conftest import PATIENT

DAYS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass ORDER BY 1"


@pytest.fixture
async def connections(database_url: str) -> AsyncIterator[Connections]:
    made = Connections(database_url, budget=PATIENT, largest=4)
    yield made
    await made.close()


async def days(database: Any) -> list[str]:
    return [row[0] for row in await database.fetch(DAYS)]


async def old_keys(database: Any, count: int, age: timedelta) -> None:
    statement = """
        INSERT INTO delivery_keys SELECT sha256(n::text::bytea), gen_random_uuid(), '', $2 FROM generate_series(1, $1) n
    """
    await database.execute(statement, count, datetime.now(UTC) - age)


async def test_today_and_a_week_ahead_are_made_and_then_found_made(connections: Connections, database: Any) -> None:
    today = await database.fetchval("SELECT current_date")
    wanted = [f"events_{today + timedelta(days=ahead):%Y%m%d}" for ahead in range(8)]
    for name in wanted[1:]:
        await database.execute(f"DROP TABLE {name}, {name.replace('events', 'event_states')}")
    keeper = Upkeep(connections, key_retention_days=35)
    assert await keeper.make_days() == 14
    assert set(wanted) <= set(await days(database))
    assert await keeper.make_days() == 0


async def test_keys_are_forgotten_after_their_time_and_not_an_hour_before(
    connections: Connections, database: Any
) -> None:
    """The event stays; its delivery, sent again, is a new event then, and was a duplicate until then."""
    store, keeper = PostgresEventStore(connections), Upkeep(connections, key_retention_days=35)
    first = new_event("same")
    await append(store, first)
    await database.execute("UPDATE delivery_keys SET received_at = now() - interval '35 days' + interval '1 hour'")
    assert await keeper.forget_keys() == 0
    (still,) = await append(store, new_event("same"))
    assert isinstance(still, Duplicate)
    await database.execute("UPDATE delivery_keys SET received_at = now() - interval '35 days 1 minute'")
    assert await keeper.forget_keys() == 1
    (anew,) = await append(store, new_event("same"))
    assert isinstance(anew, Appended)
    assert await database.fetchval("SELECT count(*) FROM events") == 2


async def test_digests_are_forgotten_after_the_same_time(connections: Connections, database: Any) -> None:
    statement = """
        INSERT INTO body_digests SELECT sha256(n::text::bytea), gen_random_uuid(), now() - n * interval '1 hour'
        FROM unnest(ARRAY[1, 35 * 24 - 1, 35 * 24 + 1, 40 * 24]) n
    """
    await database.execute(statement)
    keeper = Upkeep(connections, key_retention_days=35)
    assert await keeper.forget_digests() == 2
    assert (
        await database.fetchval("SELECT count(*) FROM body_digests WHERE received_at > now() - interval '35 days'") == 2
    )


async def test_old_keys_go_piece_by_piece_until_none_is_left(
    connections: Connections, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn is told to stop between two part; the next one goes on."""
    monkeypatch.setattr(upkeep, "PAGES_PER_STATEMENT", 1)
    await append(PostgresEventStore(connections), new_event("young"))
    await old_keys(database, 4_000, timedelta(days=36))
    keeper = Upkeep(connections, key_retention_days=35)
    stop = asyncio.Event()
    stop.set()
    assert await keeper.forget_keys(stop) == 0
    stop = asyncio.Event()
    duty = asyncio.create_task(keeper.run(stop))
    async with asyncio.timeout(10):
        while await database.fetchval("SELECT count(*) FROM delivery_keys") > 1:
            await asyncio.sleep(0.02)
    stop.set()
    await asyncio.wait_for(duty, 2)
    assert await database.fetchval("SELECT count(*) FROM delivery_keys") == 1


async def test_a_piece_reads_no_other_pages(connections: Connections, database: Any) -> None:
    """With whatever plan: a statement that the driver prepared is soon planned without its values."""
    await old_keys(database, 40_000, timedelta(days=1))
    await database.execute("VACUUM ANALYZE delivery_keys")
    await database.execute("SET plan_cache_mode = force_generic_plan")
    await database.execute(f"PREPARE forget(timestamptz, tid, tid) AS {upkeep._FORGET.format(table='delivery_keys')}")
    plan = await database.fetch("EXPLAIN EXECUTE forget(now(), '(3,0)', '(5,0)')")
    assert sum("Tid Range Scan" in row[0] for row in plan) == 8
    assert not any("Seq Scan" in row[0] for row in plan)


@pytest.mark.parametrize(
    ("pages", "turns"), [(0, 1), (1, 1), (1_999, 1), (2_000, 2), (100_001, 100), (10_000_019, 144)]
)
def test_each_page_has_its_turn_within_a_day(pages: int, turns: int) -> None:
    """Once and no oftener, and a small table is passed over whole."""
    began = [upkeep.pages_of_turn(pages, turn * 600.0) for turn in range(turns)]
    assert [part.start for part in began] == [0, *(part.stop for part in began[:-1])]
    assert began[-1].stop == pages
    assert turns * 600 <= 86_400


async def test_several_processes_at_once_do_each_thing_once(connections: Connections, database: Any) -> None:
    *_, last = await days(database)
    await database.execute(f"DROP TABLE {last}, {last.replace('events', 'event_states')}")
    await old_keys(database, 500, timedelta(days=40))
    keepers = [Upkeep(connections, key_retention_days=35) for _ in range(4)]
    assert sum(await asyncio.gather(*(keeper.make_days() for keeper in keepers))) == 2
    assert sum(await asyncio.gather(*(keeper.forget_keys() for keeper in keepers))) == 500


async def test_while_one_process_forgets_the_others_leave_it_to_that_one(
    connections: Connections, database: Any
) -> None:
    """They do not wait for it, nor does anybody who applies sources."""
    await old_keys(database, 10, timedelta(days=40))
    keeper = Upkeep(connections, key_retention_days=35)
    async with database.transaction():
        await database.execute("SELECT pg_advisory_xact_lock(7310003)")
        async with asyncio.timeout(5):
            assert await keeper.forget_keys() == 0
    assert await keeper.forget_keys() == 10


async def test_a_failure_is_told_and_tried_again(
    database_url: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "AFTER_A_FAILURE_SECONDS", 0.01)
    told = asyncio.Event()
    connections = Connections(database_url, budget=PATIENT, largest=1)
    await database.execute("ALTER FUNCTION opsconnect_make_event_days RENAME TO away")
    *_, last = await days(database)
    await database.execute(f"DROP TABLE {last}, {last.replace('events', 'event_states')}")
    stop = asyncio.Event()
    keeper = Upkeep(connections, key_retention_days=35, on_failure=lambda _: told.set())
    duty = asyncio.create_task(keeper.run(stop))
    async with asyncio.timeout(10):
        await told.wait()
        await database.execute("ALTER FUNCTION away RENAME TO opsconnect_make_event_days")
        while last not in await days(database):
            await asyncio.sleep(0.02)
        stop.set()
        await duty
    await connections.close()
