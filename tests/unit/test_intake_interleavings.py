"""Group commit over the shield over a store and a lock that do their worst, in random order: what must always hold."""

import asyncio
from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.memory.idempotency_lock import MemoryIdempotencyLock
from app.core.domain.errors import OpsConnectError, OutcomeUnknown, RowBlocked, RowRejected, Unavailable
from app.core.domain.event import NewEvent
from app.core.domain.ids import EventId
from app.core.policies.group_commit import Bounds, GroupCommit
from app.core.policies.shielded import Shielded
from app.core.ports.event_store import Appended, Duplicate, EventStore, Outcome
from app.core.ports.idempotency_lock import Committed, Lock, Marker
from tests.conformance.stores import new_event

BODIES = (b"one", b"two")


class Fates:
    """The choices that Hypothesis makes, drawn as they are needed; when they run out, all goes well."""

    def __init__(self, choices: Sequence[int]) -> None:
        self._choices = list(choices)

    def choose(self, of: int) -> int:
        return self._choices.pop() % of if self._choices else 0


class WildStore(EventStore):
    """Keeps in memory, after and before pauses, and fails in every way that the contract allows."""

    def __init__(self, memory: MemoryEventStore, fates: Fates) -> None:
        self._memory = memory
        self._fates = fates
        self.epochs = 0
        self.failures = 0

    def epoch(self) -> str | None:
        return None if self._fates.choose(8) == 7 else f"epoch/{self.epochs}"

    async def append(self, events: Sequence[NewEvent]) -> Sequence[Outcome]:
        epoch = f"epoch/{self.epochs}"
        await pause(self._fates)
        what = self._fates.choose(12)
        self.failures += what >= 8 or any(event.delivery_id == "poison" for event in events)
        if what == 11:
            raise Unavailable("nothing kept")
        if what in {9, 10} or any(event.delivery_id == "poison" for event in events):
            raise (RowBlocked if what == 9 else RowRejected)("a row is at fault")
        outcomes = await self._memory.append(events)
        for outcome in outcomes:
            outcome.flush.epoch = epoch
        await pause(self._fates)
        if what == 8:
            raise OutcomeUnknown("kept, and the answer lost")
        return outcomes

    async def count_duplicates(self, counts: Mapping[EventId, int]) -> None:
        await self._memory.count_duplicates(counts)


class WildLock(MemoryIdempotencyLock):
    """Fails, answers late, loses what it knew, and holds stale markers for events that were never kept."""

    def __init__(self, shared: MemoryIdempotencyLock.Shared, fates: Fates) -> None:
        super().__init__(shared)
        self._fates = fates

    async def acquire(self, keys: Sequence[bytes]) -> Sequence[Lock | Marker]:
        await pause(self._fates)
        what = self._fates.choose(10)
        if what == 9:
            raise Unavailable("away")
        answers = list(await super().acquire(keys))
        if what == 8:
            return [Lock.BUSY] * len(keys)
        if what == 7:
            lost = new_event("lost", body=BODIES[0])
            return [Marker(lost.id, lost.digest, "epoch/of another database")] * len(keys)
        return answers

    async def settle(self, committed: Sequence[Committed], released: Sequence[bytes]) -> None:
        await pause(self._fates)
        if self._fates.choose(5) == 4:
            raise Unavailable("away")
        await super().settle(committed, released)


async def pause(fates: Fates) -> None:
    """Let others go first, now and then."""
    for _ in range(fates.choose(4)):
        await asyncio.sleep(0)


deliveries = st.tuples(
    st.sampled_from(["a", "b", "c", "poison"]), st.sampled_from(BODIES), st.integers(0, 1), st.integers(0, 3)
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(deliveries, min_size=1, max_size=24), st.lists(st.integers(0, 239), max_size=240))
def test_whatever_happens_each_caller_gets_one_true_answer(
    sent: list[tuple[str, bytes, int, int]], choices: list[int]
) -> None:
    """Two processes, few keys, two bodies: an acknowledged event is in the store, one row a key, nothing is left."""
    with asyncio.Runner() as runner:
        runner.run(interleave(sent, Fates(choices)))


async def interleave(sent: Sequence[tuple[str, bytes, int, int]], fates: Fates) -> None:
    memory = MemoryEventStore()
    store, shared = WildStore(memory, fates), MemoryIdempotencyLock.Shared()
    shields = [Shielded(store, WildLock(shared, fates)) for _ in range(2)]
    groups = [GroupCommit(shield, Bounds(rows=4, budget_seconds=5)) for shield in shields]

    async def send(delivery: str, body: bytes, process: int, wait: int) -> tuple[NewEvent, Outcome | OpsConnectError]:
        for _ in range(wait):
            await asyncio.sleep(0)
        event = new_event(delivery, body=body)
        try:
            (outcome,) = await groups[process].append([event])
        except OpsConnectError as error:
            return event, error
        assert isinstance(outcome, Appended | Duplicate)
        kept = await memory.get(outcome.event_id)
        assert kept is not None, "acknowledged, and not in the store"
        assert kept.delivery_id == event.delivery_id
        if isinstance(outcome, Duplicate):
            assert outcome.event_id != event.id
            assert outcome.same_body is (kept.digest == event.digest)
        else:
            assert outcome.event_id == event.id
        return event, outcome

    async with asyncio.timeout(10):
        answers = await asyncio.gather(*(send(*one) for one in sent))
    for shield in shields:
        while shield._tasks:
            await asyncio.wait(list(shield._tasks))
        await shield.write_counts()
        assert not shield._in_hand
    assert not any(group.waiting for group in groups)

    assert len(memory._events) == len(memory._keys)
    for event_id, kept in memory._events.items():
        told = [answer for _, answer in answers if isinstance(answer, Duplicate) and answer.event_id == event_id]
        # Who was refused half-way may have been counted, and is again when he is appended anew.
        assert kept.duplicates == len(told) if not store.failures else kept.duplicates >= len(told)
