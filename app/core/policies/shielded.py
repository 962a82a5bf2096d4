"""The idempotency lock around an event store: a shield, never a gate. The store's unique key decides, always.

The protocol, for the events of one `append`:

1. In this process, one event per key is in hand at a time. A second event of a key, in the same call or a later one,
   waits for the first's outcome without holding up its neighbours (its outcome is `Pending`).
2. One round trip asks the shared lock for all other keys.
   - *held*, or the lock cannot be asked: the event goes to the store, together with all of its kind.
   - *a marker* that names the same body, in the epoch that the store vouches for at this moment: the event is a
     duplicate, answered without the store and counted within a second. Any other marker proves nothing: to the store.
   - *busy*, another process has the key in hand: the event leaves the batch. After 15 ms the lock is asked once more;
     then the event goes to the store in a statement of its own, whatever the lock says.
3. When the store has committed, markers are written and locks freed by a round trip that nobody waits for. If the
   store fails, the locks are freed; a `RowFault` leaves them, since the same process appends the halves at once and
   finds them held by itself. What is never freed frees itself after some seconds.
4. Whoever waited in this process for a key (1) is a duplicate if the first was kept with the same body; else all who
   wait for the key go to the store together, in one statement of their own.

So a storm on one key costs one statement at a time in each process, and a marker is written only after a commit and
believed only in that commit's own epoch: a lost, flushed, hung or stale lock costs time and never an event.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from app.core.domain.errors import OpsConnectError, RowFault, Unavailable
from app.core.domain.event import NewEvent
from app.core.domain.ids import EventId
from app.core.ports.event_store import Appended, Duplicate, EventStore, Flush, Outcome, Pending
from app.core.ports.idempotency_lock import Committed, IdempotencyLock, Lock, Marker

T = TypeVar("T")

SECOND_LOOK_SECONDS = 0.015
COUNT_EVERY_SECONDS = 0.4
MOST_UNSETTLED = 20_000
"""Markers that may wait to be written while the lock is slow; more are dropped, which costs only time later."""
MOST_AT_ONCE = 2_000
"""Markers written in one round trip: more would hold the lock server up for those who ask it meanwhile."""


class _Waiter:
    """An event that waits for another one of its key."""

    __slots__ = ("event", "outcome")

    def __init__(self, event: NewEvent) -> None:
        self.event = event
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()


class Shielded(EventStore):
    """An event store behind an idempotency lock."""

    name = "count-duplicates"

    def __init__(
        self,
        inner: EventStore,
        lock: IdempotencyLock,
        *,
        on_failure: Callable[[Exception], None] = lambda _error: None,
    ) -> None:
        self._inner = inner
        self._lock = lock
        self._on_failure = on_failure
        self.lock_outcomes = {"held": 0, "busy": 0, "marked": 0, "unshielded": 0}
        """How often, since the start, the lock gave which answer for a key."""
        self._in_hand: dict[bytes, list[_Waiter]] = {}
        self._counts: dict[EventId, int] = {}
        self._committed: list[Committed] = []
        self._released: list[bytes] = []
        self._settling: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def epoch(self) -> str | None:
        """Pass on what the inner store vouches for."""
        return self._inner.epoch()

    async def count_duplicates(self, counts: Mapping[EventId, int]) -> None:
        """Pass on."""
        await self._inner.count_duplicates(counts)

    async def append(self, events: Sequence[NewEvent]) -> Sequence[Outcome | Pending]:
        """Answer from markers what they prove; append the rest; leave busy keys to a task of their own."""
        outcomes: dict[EventId, Outcome | Pending] = {}
        asked: list[NewEvent] = []
        for event in events:
            waiting = self._in_hand.get(event.key)
            if waiting is None:
                self._in_hand[event.key] = []
                asked.append(event)
            else:
                waiter = _Waiter(event)
                waiting.append(waiter)
                outcomes[event.id] = Pending(waiter.outcome)
        if asked:
            await self._append_in_hand(asked, outcomes)
        return [outcomes[event.id] for event in events]

    async def _append_in_hand(self, asked: list[NewEvent], outcomes: dict[EventId, Outcome | Pending]) -> None:
        flush = Flush()
        settled: dict[bytes, Outcome] = {}
        elsewhere: set[bytes] = set()
        try:
            locks = await self._ask(asked, flush)
            ours = []
            for event, lock in zip(asked, locks, strict=True):
                if lock is Lock.BUSY:
                    elsewhere.add(event.key)
                    outcomes[event.id] = Pending(self._spawn(self._look_again(event)))
                elif isinstance(lock, Marker) and self._proves(lock, event):
                    settled[event.key] = outcomes[event.id] = self._repeated(lock.event_id, event, flush)
                else:
                    ours.append(event)
            if ours:
                for event, outcome in zip(ours, await self._to_store(ours, flush), strict=True):
                    settled[event.key] = outcomes[event.id] = outcome
        finally:
            for event in asked:
                if event.key not in elsewhere:
                    self._let_go(event, settled.get(event.key))

    async def _ask(self, events: Sequence[NewEvent], flush: Flush) -> Sequence[Lock | Marker | None]:
        """Ask the lock; None for each key when it cannot be asked."""
        flush.lock_started_ns = time.time_ns()
        locks: Sequence[Lock | Marker | None]
        try:
            locks = await self._lock.acquire([event.key for event in events])
        except Unavailable:
            locks = [None] * len(events)
            flush.locks = {"unshielded": len(events)}
        else:
            counts = {"held": 0, "busy": 0, "marked": 0}
            for lock in locks:
                counts["marked" if isinstance(lock, Marker) else "busy" if lock is Lock.BUSY else "held"] += 1
            flush.locks = counts
        for outcome, count in flush.locks.items():
            self.lock_outcomes[outcome] += count
        flush.lock_ended_ns = time.time_ns()
        return locks

    def _proves(self, marker: Marker, event: NewEvent) -> bool:
        return marker.digest == event.digest and marker.epoch != "" and marker.epoch == self._inner.epoch()

    async def _to_store(self, events: Sequence[NewEvent], asked: Flush) -> Sequence[Outcome]:
        """Append to the store; note for the lock what came of it."""
        try:
            outcomes = [
                outcome if not isinstance(outcome, Pending) else await outcome.outcome
                for outcome in await self._inner.append(events)
            ]
        except RowFault:
            raise
        except BaseException:
            self._settle((), [event.key for event in events])
            raise
        committed, released = [], []
        for event, outcome in zip(events, outcomes, strict=True):
            if isinstance(outcome, Appended) or outcome.same_body:
                marker = Marker(outcome.event_id, event.digest, outcome.flush.epoch)
                committed.append(Committed(event.key, marker))
            else:
                released.append(event.key)
        self._settle(committed, released)
        story = outcomes[0].flush
        story.lock_started_ns, story.lock_ended_ns, story.locks = (
            asked.lock_started_ns,
            asked.lock_ended_ns,
            asked.locks,
        )
        return outcomes

    async def _look_again(self, event: NewEvent) -> Outcome:
        """Give another process a moment with this key; then go to the store, whatever the lock says."""
        await asyncio.sleep(SECOND_LOOK_SECONDS)
        outcome: Outcome | None = None
        try:
            flush = Flush()
            (lock,) = await self._ask([event], flush)
            if isinstance(lock, Marker) and self._proves(lock, event):
                outcome = self._repeated(lock.event_id, event, flush)
            else:
                (outcome,) = await self._to_store([event], flush)
            return outcome
        finally:
            self._let_go(event, outcome)

    def _let_go(self, event: NewEvent, outcome: Outcome | None) -> None:
        """Free the key in this process, and answer those who waited for it."""
        waiting = self._in_hand.get(event.key)
        if not waiting:
            self._in_hand.pop(event.key, None)
            return
        unproved = []
        known = outcome is not None and (isinstance(outcome, Appended) or outcome.same_body)
        for waiter in waiting:
            if waiter.outcome.done():
                continue
            if outcome is not None and known and waiter.event.digest == event.digest:
                waiter.outcome.set_result(self._repeated(outcome.event_id, waiter.event, outcome.flush))
            else:
                unproved.append(waiter)
        if not unproved:
            del self._in_hand[event.key]
            return
        # The key stays in hand for those who come meanwhile.
        self._in_hand[event.key] = []
        self._spawn(self._append_alone(unproved))

    async def _append_alone(self, waiters: Sequence[_Waiter]) -> None:
        """Send everybody who waits for one key to the store together, in a statement of their own."""
        outcome: Outcome | None = None
        try:
            outcomes = await self._to_store([waiter.event for waiter in waiters], Flush())
            outcome = outcomes[0]
            for waiter, answer in zip(waiters, outcomes, strict=True):
                if not waiter.outcome.done():
                    waiter.outcome.set_result(answer)
        except RowFault as fault:
            if len(waiters) == 1 and not waiters[0].outcome.done():
                waiters[0].outcome.set_exception(type(fault)(str(fault)))
            for waiter in waiters if len(waiters) > 1 else ():
                await self._append_alone([waiter])
        except OpsConnectError as error:
            for waiter in waiters:
                if not waiter.outcome.done():
                    waiter.outcome.set_exception(type(error)(str(error)))
        finally:
            for waiter in waiters:
                waiter.outcome.cancel()  # a defect leaves nobody waiting; no effect on those who are answered
            self._let_go(waiters[0].event, outcome)

    def _repeated(self, first: EventId, event: NewEvent, flush: Flush) -> Outcome:
        """Answer an event whose key is known to be committed, without the store."""
        if first == event.id:  # the very same event, appended again after a neighbour's fault
            return Appended(first, flush)
        self._counts[first] = self._counts.get(first, 0) + 1
        return Duplicate(first, True, flush)

    def _settle(self, committed: Sequence[Committed], released: Sequence[bytes]) -> None:
        if len(self._committed) + len(self._released) < MOST_UNSETTLED:
            self._committed.extend(committed)
            self._released.extend(released)
        if self._settling is None or self._settling.done():
            self._settling = self._spawn(self._settle_all())

    async def _settle_all(self) -> None:
        """Write what has gathered; while one round trip is under way, the next one gathers."""
        while self._committed or self._released:
            committed, self._committed = self._committed[:MOST_AT_ONCE], self._committed[MOST_AT_ONCE:]
            released, self._released = self._released[:MOST_AT_ONCE], self._released[MOST_AT_ONCE:]
            try:
                await self._lock.settle(committed, released)
            except Unavailable:
                # Locks free themselves, and a marker that is missing costs a statement: nothing to make up for.
                return

    async def run(self, stop: asyncio.Event) -> None:
        """Write down, every 0.4 s and at the end, how often events came again."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), COUNT_EVERY_SECONDS)
            await self.write_counts()

    async def write_counts(self) -> None:
        """Write the counts that have gathered; a failure keeps them for the next time."""
        if not self._counts:
            return
        counts, self._counts = self._counts, {}
        try:
            await self._inner.count_duplicates(counts)
        except OpsConnectError as error:
            for event_id, count in counts.items():
                self._counts[event_id] = self._counts.get(event_id, 0) + count
            self._on_failure(error)

    def _spawn(self, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
