"""What only Postgres can say of appended events: days that are missing, days that are gone, bounds on what is kept."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.adapters.postgres.connections import Connections
from app.adapters.postgres.event_store import PostgresEventStore
from app.core.domain.errors import Unavailable
from app.core.domain.event import NewEvent
from app.core.domain.ids import event_id
from app.core.ports.event_store import Appended, Duplicate
from tests.conformance.stores import append, new_event
from tests.conftest import PATIENT


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresEventStore]:
    connections = Connections(database_url, budget=PATIENT, largest=4)
    yield PostgresEventStore(connections)
    await connections.close()


def event_of(days_from_now: int, delivery: str) -> NewEvent:
    """An event as a process makes it whose clock is so far ahead."""
    at = datetime.now(UTC) + timedelta(days=days_from_now)
    return new_event(delivery, id=event_id(int(at.timestamp() * 1e9)), received_at=at)


async def test_a_day_that_has_no_partition_yet_is_made_and_the_event_kept(
    store: PostgresEventStore, database: Any
) -> None:
    """With its neighbours, which have their day; and the next event of that day finds it."""
    outcomes = await append(store, new_event("today"), event_of(20, "later"), event_of(21, "even later"))
    assert {type(outcome) for outcome in outcomes} == {Appended}
    assert [type(outcome) for outcome in await append(store, event_of(20, "again"))] == [Appended]
    assert await database.fetchval("SELECT count(*) FROM events") == 4
    assert await database.fetchval("SELECT count(*) FROM inbox") == 4


@pytest.mark.parametrize("days", [90, -90])
async def test_a_clock_that_is_far_off_is_refused_clearly_and_nothing_is_kept(
    store: PostgresEventStore, database: Any, days: int
) -> None:
    """Not a fault of the row: halving the batch would find every row guilty."""
    with pytest.raises(Unavailable, match="is a clock wrong"):
        await append(store, event_of(days, "1"), event_of(days, "2"))
    assert await database.fetchval("SELECT count(*) FROM delivery_keys") == 0
    assert [type(outcome) for outcome in await append(store, new_event("1"))] == [Appended]


async def test_at_most_ten_conflicts_are_kept_and_all_are_counted(store: PostgresEventStore, database: Any) -> None:
    """In one statement and over several; the same other bytes are kept once."""
    first = new_event("same", body=b"first")
    await append(store, first)
    for number in (1, 2, 2, 3):
        await append(store, new_event("same", body=b"%d" % number))
    await append(store, *(new_event("same", body=b"%d" % number) for number in range(2, 20)))
    await append(store, new_event("same", body=b"one more"))
    kept = await database.fetch("SELECT body FROM conflicts WHERE event_id = $1", first.id)
    assert len(kept) == 10
    assert {b"1", b"2", b"3"} <= {row["body"] for row in kept}
    counts = await database.fetchrow("SELECT duplicates, conflicts FROM event_states WHERE event_id = $1", first.id)
    assert tuple(counts) == (23, 23)


async def test_a_repetition_of_an_event_whose_day_is_gone_costs_its_neighbours_no_count(
    store: PostgresEventStore, database: Any
) -> None:
    """Keys outlive the days of their events: there is nothing to count on then, but for the others there is."""
    old, young = event_of(20, "old"), new_event("young", body=b"first")
    await append(store, old, young)
    day = old.received_at.strftime("%Y%m%d")
    await database.execute(f"DROP TABLE events_{day}, event_states_{day}")
    outcomes = await append(
        store, event_of(20, "old"), new_event("young", body=b"first"), new_event("young", body=b"other")
    )
    assert [type(outcome) for outcome in outcomes] == [Duplicate] * 3
    assert [outcome.event_id for outcome in outcomes] == [old.id, young.id, young.id]
    await store.count_duplicates({old.id: 1, young.id: 1})
    counts = await database.fetchrow("SELECT duplicates, conflicts FROM event_states WHERE event_id = $1", young.id)
    assert counts is not None
    assert tuple(counts) == (3, 1)
    assert await database.fetchval("SELECT body FROM conflicts") == b"other"
