"""The book of refusals: what it takes down, what it only counts, and what a store that is away costs."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from app.adapters.memory.refusal_store import MemoryRefusalStore
from app.core.domain.errors import OutcomeUnknown, RowRejected, Unavailable
from app.core.domain.refusal import NewRefusal
from app.core.domain.source import LARGEST_BODY_BYTES
from app.core.policies.refusal_book import RefusalBook, RefusalBounds
from app.core.ports.refusal_store import RefusalQuery
from tests.refusals import a_refusal

GENEROUS = RefusalBounds(per_second=1_000, waiting=10_000)


class Store(MemoryRefusalStore):
    """The one in memory, which can be away, or find fault with a row, and notes the sizes of what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.failure: Exception | None = None
        self.at_fault: set[str] = set()
        self.trims = 0
        self.answering = asyncio.Event()
        self.answering.set()

    async def keep(self, refusals: Sequence[NewRefusal]) -> None:
        self.batches.append(len(refusals))
        await self.answering.wait()
        if any(refusal.detail in self.at_fault for refusal in refusals):
            raise RowRejected("a row")
        if not isinstance(self.failure, Unavailable):
            await super().keep(refusals)
        if self.failure is not None:
            raise self.failure

    async def trim(self, *, count: int, weight: int, before: datetime, at_most: int) -> int:
        self.trims += 1
        if self.failure is not None:
            raise self.failure
        return await super().trim(count=count, weight=weight, before=before, at_most=at_most)

    async def kept(self) -> list[str]:
        return [refusal.detail for refusal in await self.find(RefusalQuery(limit=10_000))]


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: float = 1_000.0
    reads: int = 0

    def __call__(self) -> float:
        self.reads += 1
        return self.now


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def refusals(count: int, **fields: object) -> list[NewRefusal]:
    return [a_refusal(number, **{"detail": str(number), **fields}) for number in range(count)]


def note_all(book: RefusalBook, noted: Sequence[NewRefusal]) -> None:
    for refusal in noted:
        book.note(refusal)


async def test_what_was_noted_is_kept_once_it_is_written(store: Store) -> None:
    book = RefusalBook(store, GENEROUS)
    note_all(book, refusals(3))
    assert await store.kept() == []
    await book.write()
    assert await store.kept() == ["2", "1", "0"]
    assert set(book.dropped.values()) == {0}


async def test_while_a_write_hangs_others_are_noted_and_kept_after_it(store: Store) -> None:
    store.answering.clear()
    book = RefusalBook(store, GENEROUS)
    note_all(book, refusals(2))
    writing = asyncio.create_task(book.write())
    await until(lambda: store.batches)
    note_all(book, refusals(5)[2:])
    store.answering.set()
    await writing
    assert store.batches == [2, 3]
    assert await store.kept() == list("43210")


async def test_a_source_brings_ten_a_second_and_fifty_at_once_and_others_are_not_touched(
    store: Store, clock: Clock
) -> None:
    book = RefusalBook(store, RefusalBounds(), clock=clock)
    note_all(book, refusals(1_000, source="flooded"))
    note_all(book, refusals(3, source="quiet"))
    assert book.dropped == {"rate": 950, "volume": 0, "queue": 0, "failed": 0}
    clock.now += 1.0
    note_all(book, refusals(1_000, source="flooded"))
    assert book.dropped["rate"] == 1_940
    await book.write()
    assert len(await store.kept()) == 50 + 3 + 10


async def test_none_is_kept_where_none_a_second_may_come(store: Store) -> None:
    book = RefusalBook(store, RefusalBounds(per_second=0))
    note_all(book, refusals(10))
    await book.write()
    assert store.batches == []
    assert book.dropped["rate"] == 10


async def test_a_flood_of_large_bodies_is_bounded_by_bytes_a_second(store: Store, clock: Clock) -> None:
    """However many sources it comes to."""
    bounds = replace(GENEROUS, waiting_weight=100_000, weight_per_second=10_000)
    book = RefusalBook(store, bounds, clock=clock)
    for round_ in range(5):
        note_all(book, [a_refusal(source=f"s{number}", body=b"x" * 9_000) for number in range(10)])
        await book.write()
        assert len(await store.kept()) == 10 + round_
        clock.now += 1.0
    assert book.dropped["volume"] == 36


async def test_the_largest_body_of_a_source_fits_and_goes_alone(store: Store) -> None:
    book = RefusalBook(store)
    note_all(book, [a_refusal(0), a_refusal(1, body=bytes(LARGEST_BODY_BYTES)), a_refusal(2)])
    await book.write()
    assert store.batches == [1, 1, 1]
    assert set(book.dropped.values()) == {0}


@pytest.mark.parametrize("bounds", [replace(GENEROUS, waiting=5), replace(GENEROUS, waiting_weight=5 * 400)])
async def test_while_nothing_can_be_written_only_so_many_wait_and_they_are_kept_when_it_can(
    store: Store, bounds: RefusalBounds
) -> None:
    """In number and in bytes; what waits for longer has the better right."""
    store.failure = Unavailable("away")
    book = RefusalBook(store, bounds)
    weighing = [refusal._replace(detail="x" * (400 - refusal._replace(detail="").weight)) for refusal in refusals(8)]
    assert {refusal.weight for refusal in weighing} == {400}
    note_all(book, weighing)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await book.write()
    assert book.dropped["queue"] == 3
    store.failure = None
    await book.write()
    assert [refusal.id for refusal in await store.find(RefusalQuery())] == [it.id for it in reversed(weighing[:5])]
    book.note(a_refusal(9))
    assert book.dropped["queue"] == 3


async def test_what_was_perhaps_kept_is_kept_once(store: Store) -> None:
    store.failure = OutcomeUnknown("the connection broke")
    book = RefusalBook(store, GENEROUS)
    note_all(book, refusals(3))
    with pytest.raises(OutcomeUnknown):
        await book.write()
    store.failure = None
    await book.write()
    assert await store.kept() == ["2", "1", "0"]


async def test_many_are_written_in_batches(store: Store) -> None:
    book = RefusalBook(store, GENEROUS)
    note_all(book, refusals(250))
    await book.write()
    assert store.batches == [100, 100, 50]


async def test_one_that_the_store_refuses_fails_alone_and_is_counted_and_told(store: Store) -> None:
    told: list[Exception] = []
    store.at_fault = {"3", "40"}
    book = RefusalBook(store, GENEROUS, on_failure=told.append)
    note_all(book, refusals(64))
    await book.write()
    assert len(await store.kept()) == 62
    assert (book.dropped["failed"], len(told)) == (2, 2)


async def test_the_duty_writes_trims_and_at_its_end_writes_what_is_left(store: Store, clock: Clock) -> None:
    book = RefusalBook(store, replace(GENEROUS, count=2), write_seconds=0.001, clock=clock)
    stop = asyncio.Event()
    duty = asyncio.create_task(book.run(stop))
    note_all(book, refusals(5))
    await until(lambda: store.batches)
    assert store.trims == 0
    clock.now += 10.0
    await until(lambda: store.trims)
    assert await store.kept() == ["4", "3"]
    book.note(a_refusal(9, detail="last"))
    stop.set()
    await duty
    assert "last" in await store.kept()


async def test_it_trims_ten_seconds_after_a_write_and_every_ten_minutes_without_one(store: Store, clock: Clock) -> None:
    book = RefusalBook(store, GENEROUS, write_seconds=0.001, clock=clock)
    stop = asyncio.Event()
    duty = asyncio.create_task(book.run(stop))

    async def trims_after(seconds: float) -> int:
        before = store.trims
        clock.now += seconds
        reads = clock.reads
        await until(lambda: clock.reads >= reads + 3)  # twice at most in a round, so one whole round is over
        return store.trims - before

    assert await trims_after(10.0) == 1
    assert await trims_after(599.0) == 0
    assert await trims_after(1.0) == 1
    book.note(a_refusal())
    await until(lambda: store.batches)
    assert await trims_after(9.0) == 0
    assert await trims_after(1.0) == 1
    stop.set()
    await duty


async def test_a_store_that_is_away_is_told_of_and_asked_again(store: Store) -> None:
    told: list[Exception] = []
    store.failure = Unavailable("away")
    book = RefusalBook(store, GENEROUS, write_seconds=0.001, after_failure_seconds=0.001, on_failure=told.append)
    stop = asyncio.Event()
    duty = asyncio.create_task(book.run(stop))
    book.note(a_refusal(detail="1"))
    await until(lambda: len(told) >= 2)
    store.failure = None
    await until(lambda: len(store.batches) > len(told))
    stop.set()
    await duty
    assert await store.kept() == ["1"]
    assert set(book.dropped.values()) == {0}


async def test_what_cannot_be_written_at_the_end_is_counted_and_given_up(store: Store) -> None:
    told: list[Exception] = []
    store.failure = Unavailable("away")
    book = RefusalBook(store, GENEROUS, after_failure_seconds=3_600, on_failure=told.append)
    stop = asyncio.Event()
    duty = asyncio.create_task(book.run(stop))
    note_all(book, refusals(3))
    await until(lambda: told)
    stop.set()
    async with asyncio.timeout(5):
        await duty
    assert book.dropped["failed"] == 3


async def test_what_is_too_old_is_trimmed(store: Store) -> None:
    book = RefusalBook(store, replace(GENEROUS, age=timedelta(days=7)))
    now = datetime.now(UTC)
    note_all(
        book,
        [
            a_refusal(0, detail="old", received_at=now - timedelta(days=7, minutes=1)),
            a_refusal(1, detail="young", received_at=now - timedelta(days=7) + timedelta(hours=1)),
        ],
    )
    await book.write()
    assert await book.trim() == 1
    assert await store.kept() == ["young"]
