"""What every store of refusals keeps to: the one in memory and the one in Postgres."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from app.adapters.memory.refusal_store import MemoryRefusalStore
from app.adapters.postgres.connections import Connections
from app.adapters.postgres.engine import make_engine
from app.adapters.postgres.refusal_store import PostgresRefusalStore
from app.core.domain.ids import EventId, refusal_id
from app.core.domain.refusal import NewRefusal, RefusalState
from app.core.ports.refusal_store import RefusalQuery, RefusalStore
from tests.conftest import PATIENT
from tests.refusals import T0, a_refusal, at

EVENT = EventId("019a0e2c-1f40-7000-8000-00000000cafe")
OTHER = EventId("019a0e2c-1f40-7000-8000-00000000beef")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ALL = 1_000_000_000


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[RefusalStore]:
    """Each store, empty."""
    if request.param == "memory":
        yield MemoryRefusalStore()
        return
    async with AsyncExitStack() as stack:
        connections = Connections(database_url, budget=PATIENT, largest=4)
        stack.push_async_callback(connections.close)
        engine = make_engine(database_url, budget=PATIENT, largest=2)
        stack.push_async_callback(engine.dispose)
        yield PostgresRefusalStore(connections, engine)


async def listed(store: RefusalStore, **query: object) -> list[str]:
    """The details of what is found, which these tests use as names."""
    return [refusal.detail for refusal in await store.find(RefusalQuery(**query))]  # type: ignore[arg-type]


async def trimmed(
    store: RefusalStore, *, count: int = ALL, weight: int = ALL, before: datetime = LONG_AGO, at_most: int = 100
) -> int:
    return await store.trim(count=count, weight=weight, before=before, at_most=at_most)


async def test_a_refusal_is_kept_as_it_was(store: RefusalStore) -> None:
    """Every field comes back, the bytes and the repeated headers exactly."""
    body = bytes(range(256)) * 20
    headers = (("x-signature", 'é"\\\x00'), ("x-signature", "again"), ("content-type", "text/plain"))
    refusal = a_refusal(body=body, lead=True, headers=headers, url="/api/v1/webhooks/demo?a=%00&b=é")
    await store.keep([refusal])
    kept = await store.get(refusal.id)
    assert kept is not None
    assert {name: getattr(kept, name) for name in NewRefusal._fields} == refusal._asdict()
    assert (kept.size, kept.digest) == (len(body), sha256(body).digest())
    assert (kept.state, kept.event_id, kept.content_type) == (RefusalState.REFUSED, None, "text/plain")


async def test_an_empty_body_is_another_thing_than_none(store: RefusalStore) -> None:
    read, unread = a_refusal(body=b""), a_refusal(body=None)
    await store.keep([read, unread])
    kept = [await store.get(refusal.id) for refusal in (read, unread)]
    assert [refusal and (refusal.body, refusal.size) for refusal in kept] == [(b"", 0), (None, None)]
    assert [refusal and refusal.digest for refusal in kept] == [sha256().digest(), None]


async def test_keeping_none_is_no_error_and_the_same_again_changes_nothing(store: RefusalStore) -> None:
    """A batch whose commit was in doubt is kept again."""
    first, second = a_refusal(0, detail="first"), a_refusal(1, detail="second")
    await store.keep([])
    await store.keep([first])
    await store.mark_released(first.id, EVENT)
    await store.keep([first, second])
    assert await listed(store) == ["second", "first"]
    assert await listed(store, state=RefusalState.RELEASED) == ["first"]


async def test_what_was_never_kept_is_not_there(store: RefusalStore) -> None:
    absent = refusal_id(T0)
    assert await store.get(absent) is None
    assert await listed(store) == []
    await store.mark_released(absent, EVENT)
    assert await store.get(absent) is None


async def test_lists_come_newest_first_by_every_filter_and_without_what_is_large(store: RefusalStore) -> None:
    refusals = [
        a_refusal(
            number,
            detail=str(number),
            source="a" if number % 2 else "b",
            code="signature_missing" if number < 4 else "signature_mismatch",
        )
        for number in range(8)
    ]
    await store.keep(refusals[4:])
    await store.keep(refusals[:4])
    await store.mark_released(refusals[5].id, EVENT)
    assert await listed(store) == list("76543210")
    assert await listed(store, limit=3) == list("765")
    assert await listed(store, before=refusals[5].id, limit=2) == list("43")
    assert await listed(store, source="a") == list("7531")
    assert await listed(store, code="signature_missing", source="b") == list("20")
    assert await listed(store, state=RefusalState.RELEASED) == ["5"]
    assert await listed(store, state=RefusalState.REFUSED, source="a") == list("731")
    assert await listed(store, received_after=at(2), received_before=at(6)) == list("543")
    assert await listed(store, received_after=at(7)) == []
    assert {(refusal.headers, refusal.body) for refusal in await store.find(RefusalQuery())} == {(None, None)}


async def test_a_released_one_names_its_event_and_the_first_word_stays(store: RefusalStore) -> None:
    refusal = a_refusal()
    await store.keep([refusal])
    for event_id in (EVENT, EVENT, OTHER):
        await store.mark_released(refusal.id, event_id)
        kept = await store.get(refusal.id)
        assert kept is not None
        assert (kept.state, kept.event_id) == (RefusalState.RELEASED, EVENT)


async def test_what_is_within_every_bound_stays(store: RefusalStore) -> None:
    refusals = [a_refusal(number, detail=str(number)) for number in range(3)]
    await store.keep(refusals)
    weight = sum(refusal.weight for refusal in refusals)
    assert await trimmed(store, count=3, weight=weight, before=at(0)) == 0
    assert await listed(store) == list("210")


async def test_what_is_too_old_goes_released_or_not(store: RefusalStore) -> None:
    refusals = [a_refusal(number, detail=str(number)) for number in range(4)]
    await store.keep(refusals)
    await store.mark_released(refusals[0].id, EVENT)
    assert await trimmed(store, before=at(2)) == 2
    assert await listed(store) == list("32")


async def test_the_oldest_go_when_there_are_too_many_or_too_much(store: RefusalStore) -> None:
    refusals = [a_refusal(number, detail=str(number), body=b"x" * 1000) for number in range(6)]
    await store.keep(refusals)
    assert await trimmed(store, count=4) == 2
    assert await listed(store) == list("5432")
    assert await trimmed(store, weight=2 * refusals[0].weight + 1) == 2
    assert await listed(store) == list("54")


async def test_headers_and_urls_weigh_as_well_as_bodies(store: RefusalStore) -> None:
    """Else a flood of large heads with empty bodies would pass below the bound."""
    await store.keep([a_refusal(0, detail="0", body=b"", headers=(("x-a", "a" * 30_000),), url="/" + "u" * 8_000)])
    assert await trimmed(store, weight=38_000) == 1


async def test_who_floods_one_source_pushes_out_nothing_of_the_others(store: RefusalStore) -> None:
    """By number and by bytes."""
    quiet = [a_refusal(number, source="quiet", detail=f"quiet {number}") for number in range(3)]
    flood = [a_refusal(10 + number, source="flooded", detail=f"flood {number}") for number in range(50)]
    large = [a_refusal(100 + number, source="large", detail="large", body=b"x" * 5000) for number in range(10)]
    await store.keep([*quiet, *flood, *large])
    assert await trimmed(store, count=9) == 54
    assert await listed(store, source="quiet") == ["quiet 2", "quiet 1", "quiet 0"]
    assert await listed(store, source="flooded") == ["flood 49", "flood 48", "flood 47"]
    assert await listed(store, source="large") == ["large"] * 3
    small = quiet[0].weight
    assert await trimmed(store, weight=7 * small) == 3
    assert await listed(store, source="large") == []
    assert len(await listed(store)) == 6


async def test_they_go_in_batches_the_oldest_first(store: RefusalStore) -> None:
    await store.keep([a_refusal(number, detail=str(number)) for number in range(8)])
    gone: list[int] = []
    while not gone or gone[-1] == 3:
        gone.append(await trimmed(store, count=1, at_most=3))
        assert await listed(store) == list("76543210")[: 8 - sum(gone)]
    assert gone == [3, 3, 1]


async def test_many_at_once_lose_nothing_and_remove_nothing_twice(store: RefusalStore) -> None:
    refusals = [a_refusal(number, detail=str(number)) for number in range(200)]
    batches = [refusals[start : start + 40] for start in range(0, 200, 20)]
    await asyncio.gather(*(store.keep(batch) for batch in batches))
    assert len(await listed(store, limit=300)) == 200
    removed = sum(await asyncio.gather(*(trimmed(store, count=150) for _ in range(4))))
    while left := await trimmed(store, count=150):
        removed += left
    assert removed == 50
    assert await listed(store, limit=300) == [str(number) for number in reversed(range(50, 200))]
