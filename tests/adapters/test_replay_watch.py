"""The watch for replays: the same bytes under another id are marked with the first event that brought them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.adapters.postgres import replay_watch
from app.adapters.postgres.connections import Connections
from app.adapters.postgres.event_store import PostgresEventStore
from app.adapters.postgres.replay_watch import LOOKS, TOLD_AT_ONCE, ReplayWatch
from app.core.domain.event import NewEvent
from app.core.domain.ids import EventId, event_id
from tests.conformance.stores import append, new_event
from tests.conftest import PATIENT

FIRST, SECOND = LOOKS
WATCHED = {"demo", "other"}


@pytest.fixture
def database_url(emptied_database: str) -> str:
    """One for all of them: nobody changes the schema."""
    return emptied_database


@pytest.fixture
async def connections(database_url: str, database: Any) -> AsyncIterator[Connections]:
    """Connections to a database whose watch begins with the oldest event there is."""
    await database.execute("UPDATE replay_looks SET position = '00000000-0000-0000-0000-000000000000'")
    made = Connections(database_url, budget=PATIENT, largest=8)
    yield made
    await made.close()


@pytest.fixture
def store(connections: Connections) -> PostgresEventStore:
    return PostgresEventStore(connections)


@pytest.fixture
def watch(connections: Connections) -> ReplayWatch:
    return ReplayWatch(connections, lambda: WATCHED)


def event(delivery: str, *, seconds_ago: float = 60, **fields: Any) -> NewEvent:
    """An event that came a while ago; those of the same moment have ids in any order."""
    at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return new_event(delivery, id=event_id(int(at.timestamp() * 1e9)), received_at=at, **fields)


async def marked(database: Any) -> dict[EventId, EventId]:
    rows = await database.fetch("SELECT event_id, replay_of FROM event_states WHERE replay_of IS NOT NULL")
    return {EventId(str(row["event_id"])): EventId(str(row["replay_of"])) for row in rows}


async def test_the_second_and_the_third_with_the_same_bytes_are_marked_and_the_first_is_not(
    store: PostgresEventStore, watch: ReplayWatch, database: Any
) -> None:
    """In one batch and over several, and whoever of them was kept first in it."""
    first, second, third = (event(str(number), seconds_ago=60 - number) for number in range(3))
    await append(store, second, first)
    assert await watch.look(FIRST) == 2
    assert await marked(database) == {second.id: first.id}
    await append(store, third)
    assert await watch.look(FIRST) == 1
    assert await marked(database) == {second.id: first.id, third.id: first.id}
    assert watch.suspected == {"demo": 2}


async def test_other_bytes_other_sources_and_empty_bodies_are_nobody_s_replay(
    store: PostgresEventStore, watch: ReplayWatch, database: Any
) -> None:
    await append(
        store,
        event("1", body=b"one"),
        event("2", body=b"two"),
        event("3", body=b"one", source="other"),
        *(event(number, body=b"") for number in "45"),
        *(event(number, body=b"one", source="unwatched") for number in "67"),
    )
    assert await watch.look(FIRST) == 7
    assert await marked(database) == {}
    assert await database.fetchval("SELECT count(*) FROM body_digests") == 3


async def test_a_duplicate_is_no_replay_and_is_counted_as_ever(
    store: PostgresEventStore, watch: ReplayWatch, database: Any
) -> None:
    """And a replay that comes again keeps its count when it is marked, and its mark when it is counted."""
    first, replay = event("1", seconds_ago=60), event("2", seconds_ago=50)
    await append(store, first, replay)
    await append(store, event("1"), event("2"))
    await watch.look(FIRST)
    await append(store, event("2"))
    assert await marked(database) == {replay.id: first.id}
    counts = await database.fetch("SELECT duplicates FROM event_states ORDER BY event_id")
    assert [row["duplicates"] for row in counts] == [1, 2]


async def test_what_came_a_moment_ago_is_left_for_the_next_look(
    store: PostgresEventStore, watch: ReplayWatch, database: Any
) -> None:
    """Another event, that came before it, may still be on its way to its commit."""
    await append(store, event("1", seconds_ago=0), event("2", seconds_ago=-86_400))
    assert await watch.look(FIRST) == 0
    assert await database.fetchval("SELECT count(*) FROM body_digests") == 0


async def test_what_little_has_come_since_the_last_look_waits_for_more(
    store: PostgresEventStore, watch: ReplayWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many processes one then does it for all."""
    monkeypatch.setattr(replay_watch, "LEAST_SECONDS", 3_600.0)
    await append(store, event("1", seconds_ago=60))
    assert await watch.look(FIRST) == 1
    await append(store, event("2", seconds_ago=50))
    assert await watch.look(FIRST) == 0
    monkeypatch.undo()
    assert await watch.look(FIRST) == 1


async def test_what_was_committed_late_is_found_by_the_second_look(
    store: PostgresEventStore, watch: ReplayWatch, database: Any
) -> None:
    """After the first look had passed its place. What the first one marked is neither marked nor counted again."""
    first, replay = event("1", seconds_ago=3_000), event("2", seconds_ago=1_000)
    await append(store, first, replay)
    await watch.look(FIRST)
    late = event("3", seconds_ago=2_000)
    await append(store, late)
    assert await watch.look(FIRST) == 0
    assert await watch.look(SECOND) == 3
    assert await marked(database) == {replay.id: first.id, late.id: first.id}
    assert watch.suspected == {"demo": 2}


async def test_several_processes_mark_each_replay_once(
    connections: Connections, store: PostgresEventStore, database: Any
) -> None:
    """One works at a time, and nobody waits for it."""
    events = [event(str(number), seconds_ago=2_000 - number, body=b"%d" % (number % 5)) for number in range(50)]
    await append(store, *events)
    watches = [ReplayWatch(connections, lambda: WATCHED) for _ in range(4)]
    for _ in range(3):
        await asyncio.gather(*(watch.look(look) for watch in watches for look in LOOKS))
    assert await marked(database) == {
        late.id: events[number % 5].id for number, late in enumerate(events) if number > 4
    }
    assert sum(watch.suspected.get("demo", 0) for watch in watches) == 45


async def test_while_one_process_watches_the_others_leave_it_to_that_one(
    store: PostgresEventStore, watch: ReplayWatch, database: Any
) -> None:
    await append(store, event("1"))
    async with database.transaction():
        await database.execute("SELECT pg_advisory_xact_lock(7310007)")
        async with asyncio.timeout(5):
            assert await watch.look(FIRST) == 0
    assert await watch.look(FIRST) == 1


async def test_a_new_process_goes_on_where_the_last_one_was(
    connections: Connections, store: PostgresEventStore, watch: ReplayWatch, database: Any
) -> None:
    first = event("1")
    await append(store, first)
    assert await watch.look(FIRST) == 1
    replay = event("2", seconds_ago=30)
    await append(store, replay)
    assert await ReplayWatch(connections, lambda: WATCHED).look(FIRST) == 1
    assert await marked(database) == {replay.id: first.id}


async def test_nothing_is_passed_over_before_the_sources_are_known(
    connections: Connections, store: PostgresEventStore, database: Any
) -> None:
    known: set[str] | None = None
    watch = ReplayWatch(connections, lambda: known)
    await append(store, event("1", seconds_ago=60), event("2"))
    assert await watch.look(FIRST) == 0
    known = WATCHED
    assert await watch.look(FIRST) == 2
    assert len(await marked(database)) == 1


async def test_a_replay_of_an_event_whose_day_is_gone_is_marked_with_its_id(
    store: PostgresEventStore, watch: ReplayWatch, database: Any
) -> None:
    """Digests outlive the days of their events. A day that goes before it is looked at holds nothing up."""
    old, unseen = event("old", seconds_ago=86_400), event("unseen", seconds_ago=86_399)
    await append(store, old)
    await watch.look(FIRST)
    replay = event("new")
    await append(store, unseen, replay)
    for day in {gone.received_at.strftime("%Y%m%d") for gone in (old, unseen)}:
        await database.execute(f"DROP TABLE events_{day}, event_states_{day}")
    assert [await watch.look(look) for look in LOOKS] == [1, 0]
    assert await marked(database) == {replay.id: old.id}


async def test_some_are_told_and_all_are_counted(connections: Connections, store: PostgresEventStore) -> None:
    """A flood of replays must not become a flood of lines."""
    told: list[tuple[str, EventId, EventId]] = []
    watch = ReplayWatch(
        connections, lambda: WATCHED, on_suspected=lambda *what: told.append(what), clock=lambda: 1_000.0
    )
    events = [event(str(number), seconds_ago=100 - number) for number in range(TOLD_AT_ONCE + 11)]
    await append(store, *events)
    await watch.look(FIRST)
    assert told == [("demo", late.id, events[0].id) for late in events[1 : TOLD_AT_ONCE + 1]]
    assert watch.suspected == {"demo": TOLD_AT_ONCE + 10}


async def test_the_duty_works_through_all_there_is_and_goes_on_after_a_failure(
    connections: Connections, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In batches of three. A failure is told."""
    monkeypatch.setattr(replay_watch, "EVENTS_PER_STATEMENT", 3)
    monkeypatch.setattr(replay_watch, "EVERY_SECONDS", 0.01)
    events = [event(str(number), seconds_ago=1_000 - number) for number in range(10)]
    await append(PostgresEventStore(connections), *events)
    await database.execute("ALTER TABLE body_digests RENAME TO away")
    told, stop = asyncio.Event(), asyncio.Event()
    watch = ReplayWatch(connections, lambda: WATCHED, on_failure=lambda _: told.set())
    duty = asyncio.create_task(watch.run(stop))
    async with asyncio.timeout(10):
        await told.wait()
        await database.execute("ALTER TABLE away RENAME TO body_digests")
        while len(await marked(database)) < 9:
            await asyncio.sleep(0.01)
        stop.set()
        await duty
