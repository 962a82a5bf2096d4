"""The idempotency lock around an event store: a shield, never a gate. The store's unique key decides, always.

The protocol, for the events of one `append`:

1. In this process, one event per key is in hand at a time. A second event of a key, in the same call or a later one,
   waits for the first's outcome without holding up its neighbours (its outcome is `Pending`).
2. One round trip asks the shared lock for all other keys.
   - *held*, or the lock cannot be asked: the event goes to the store, together with all of its kind.
   - *a marker* that names the same body, in the epoch that the store vouches for at this moment: the event is a
     duplicate, answered without the store and counted within a second. Any other marker proves nothing: to the store.
   - *busy*, another process has the key in hand: the event leaves the batch (its outcome is `Pending`). After 15 ms the
     lock is asked once more, for all busy keys of the call together; those that it does not prove go to the store in
     a statement of their own, whatever it says.
3. When the store has committed, markers are written and locks freed by a round trip that nobody waits for. If the
   store fails, the locks are freed; the `RowFault` of several rows leaves them, since the same process appends the
   halves at once and finds them held by itself. What is never freed frees itself after some seconds.
4. Whoever waited in this process for a key (1) is a duplicate if the first was kept with the same body; else all who
   wait for the key (up to the size of a batch) go to the store together, in one statement of their own.
5. When a call fails as a whole, its events that are `Pending` are given up: the caller appends them anew, or answers
   for them. So each event is appended by one hand at a time, and counted once.

So a storm on one key costs one statement at a time in each process, and a marker is written only after a commit and
believed only in that commit's own epoch: a lost, flushed, hung or stale lock costs time and never an event.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from app.core.domain.errors import OpsConnectError, OutcomeUnknown, RowFault, Unavailable
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
MOST_ROWS_APART = 256
MOST_BYTES_APART = 4_000_000
"""How much goes into one statement beside the batches; a single event may be larger."""


class _Kept(NamedTuple):
    """What is known to be committed under a key."""

    event_id: EventId
    digest: bytes
    flush: Flush


class _Waiter:
    """An event that left its batch. Whoever gave it up cancelled the outcome, or has it already."""

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
        self._in_hand: dict[bytes, list[_Waiter] | None] = {}
        """Keys, each with those who wait for it; None: nobody does."""
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
        waiters: list[_Waiter] = []
        in_hand = self._in_hand
        for event in events:
            if event.key not in in_hand:
                in_hand[event.key] = None
                asked.append(event)
            else:
                if (waiting := in_hand[event.key]) is None:
                    waiting = in_hand[event.key] = []
                waiting.append(_leave(event, waiters, outcomes))
        if asked:
            await self._append_in_hand(asked, waiters, outcomes)
        return [outcomes[event.id] for event in events]

    async def _append_in_hand(
        self, asked: list[NewEvent], waiters: list[_Waiter], outcomes: dict[EventId, Outcome | Pending]
    ) -> None:
        flush = Flush()
        kept: dict[bytes, _Kept] = {}
        busy: list[_Waiter] = []
        try:
            answers = await self._ask(asked, flush)
            ours = asked
            if answers is not None:  # seldom: nearly always every key is held
                judged = list(zip(asked, answers, strict=True))
                kept |= {event.key: answer for event, answer in judged if isinstance(answer, _Kept)}
                busy += [_leave(event, waiters, outcomes) for event, answer in judged if answer is Lock.BUSY]
                ours = [event for event, answer in judged if answer is Lock.HELD]
            proved = [event for event in asked if event.key in kept] if kept else ()
            if busy:
                self._spawn(self._append_apart(busy, second_look=True))
            if ours:
                for event, outcome in zip(ours, await self._to_store(ours, flush), strict=True):
                    outcomes[event.id] = outcome
                    if self._in_hand[event.key] is not None and (known := _proof(event, outcome)):
                        kept[event.key] = known
            outcomes |= {event.id: self._repeated(kept[event.key], event) for event in proved}
        except BaseException:
            for waiter in waiters:
                waiter.outcome.cancel()
            raise
        finally:
            elsewhere = {waiter.event.key for waiter in busy}
            for event in asked:
                if event.key not in elsewhere:
                    self._let_go(event.key, kept.get(event.key))

    async def _ask(self, events: Sequence[NewEvent], flush: Flush) -> list[Lock | _Kept] | None:
        """Ask the lock: what its markers prove, which keys are busy; all others are held, or as good as held.

        None: all of them are.
        """
        flush.lock_started_ns = time.time_ns()
        answers: list[Lock | _Kept] | None = None
        try:
            locks = await self._lock.acquire([event.key for event in events])
        except Unavailable:
            flush.locks = {"unshielded": len(events)}
        else:
            held, busy = locks.count(Lock.HELD), locks.count(Lock.BUSY)
            flush.locks = {"held": held, "busy": busy, "marked": len(events) - held - busy}
            if held < len(events):
                answers = [self._judged(event, lock, flush) for event, lock in zip(events, locks, strict=True)]
        for outcome, count in flush.locks.items():
            self.lock_outcomes[outcome] += count
        flush.lock_ended_ns = time.time_ns()
        return answers

    def _judged(self, event: NewEvent, lock: Lock | Marker, flush: Flush) -> Lock | _Kept:
        if not isinstance(lock, Marker):
            return lock
        proves = lock.digest == event.digest and lock.epoch != "" and lock.epoch == self._inner.epoch()
        return _Kept(lock.event_id, lock.digest, flush) if proves else Lock.HELD

    async def _to_store(self, events: Sequence[NewEvent], asked: Flush) -> Sequence[Outcome]:
        """Append to the store; note for the lock what came of it."""
        try:
            outcomes = [
                outcome if not isinstance(outcome, Pending) else await outcome.outcome
                for outcome in await self._inner.append(events)
            ]
        except BaseException as error:
            if not (isinstance(error, RowFault) and len(events) > 1):
                self._settle((), [event.key for event in events])
            raise
        committed, released = [], []
        for event, outcome in zip(events, outcomes, strict=True):
            if isinstance(outcome, Appended) or outcome.same_body:
                committed.append(Committed(event.key, Marker(outcome.event_id, event.digest, outcome.flush.epoch)))
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

    async def _append_apart(self, waiters: Sequence[_Waiter], *, second_look: bool = False) -> None:
        """Send these to the store in a statement of their own (each in one, if a row is at fault); free their keys."""
        flush = Flush()
        kept: dict[bytes, _Kept] = {}
        in_hand = dict.fromkeys(waiter.event.key for waiter in waiters)
        parts = deque([waiters])
        try:
            if second_look:
                for waiter, known in await self._look_again(waiters, flush):
                    self._answer(waiter, known)
                    del in_hand[waiter.event.key]
                    self._let_go(waiter.event.key, known)
            while parts:
                if part := [waiter for waiter in parts.popleft() if not waiter.outcome.done()]:
                    parts += await self._append_part(part, flush, kept)
        finally:
            _refuse(waiters, OutcomeUnknown("the commit broke off"))  # only a defect leaves anybody to be told so
            for key in in_hand:
                self._let_go(key, kept.get(key))

    async def _look_again(self, waiters: Sequence[_Waiter], flush: Flush) -> list[tuple[_Waiter, _Kept]]:
        """Give another process a moment with these keys; then say which of them are proved by now."""
        await asyncio.sleep(SECOND_LOOK_SECONDS)
        answers = await self._ask([waiter.event for waiter in waiters], flush)
        if answers is None:
            return []
        return [(waiter, known) for waiter, known in zip(waiters, answers, strict=True) if isinstance(known, _Kept)]

    async def _append_part(
        self, part: Sequence[_Waiter], flush: Flush, kept: dict[bytes, _Kept]
    ) -> Sequence[Sequence[_Waiter]]:
        """Append these and answer them; give the parts in which they must be appended again."""
        events = [waiter.event for waiter in part]
        try:
            outcomes = await self._to_store(events, flush)
        except RowFault as fault:
            if len(part) > 1:
                return [[waiter] for waiter in part]
            _refuse(part, fault)
        except OpsConnectError as error:
            _refuse(part, error)
        else:
            for waiter, outcome in zip(part, outcomes, strict=True):
                if known := _proof(waiter.event, outcome):
                    kept[waiter.event.key] = known
                if not waiter.outcome.done():
                    waiter.outcome.set_result(outcome)
        return []

    def _let_go(self, key: bytes, kept: _Kept | None) -> None:
        """Free the key in this process, and answer those who waited for it."""
        waiters = self._in_hand.pop(key)
        if waiters is None:
            return
        unproved = []
        for waiter in waiters:
            if kept is not None and kept.digest == waiter.event.digest:
                self._answer(waiter, kept)
            elif not waiter.outcome.done():
                unproved.append(waiter)
        if unproved:
            # The key stays in hand: for those who come meanwhile, and for those who do not fit into one statement.
            fitting = _fitting(unproved)
            self._in_hand[key] = unproved[fitting:]
            self._spawn(self._append_apart(unproved[:fitting]))

    def _answer(self, waiter: _Waiter, kept: _Kept) -> None:
        if not waiter.outcome.done():
            waiter.outcome.set_result(self._repeated(kept, waiter.event))

    def _repeated(self, kept: _Kept, event: NewEvent) -> Outcome:
        """Answer an event whose key and body are known to be committed, without the store."""
        if kept.event_id == event.id:  # the very same event, appended again after a neighbour's fault
            return Appended(event.id, kept.flush)
        self._counts[kept.event_id] = self._counts.get(kept.event_id, 0) + 1
        return Duplicate(kept.event_id, True, kept.flush)

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


def _leave(event: NewEvent, waiters: list[_Waiter], outcomes: dict[EventId, Outcome | Pending]) -> _Waiter:
    """Take an event out of its batch."""
    waiter = _Waiter(event)
    waiters.append(waiter)
    outcomes[event.id] = Pending(waiter.outcome)
    return waiter


def _proof(event: NewEvent, outcome: Outcome) -> _Kept | None:
    """Say what an outcome proves; a duplicate with another body names the first event, but not what is in it."""
    if isinstance(outcome, Appended) or outcome.same_body:
        return _Kept(outcome.event_id, event.digest, outcome.flush)
    return None


def _refuse(waiters: Sequence[_Waiter], error: OpsConnectError) -> None:
    for waiter in waiters:
        if not waiter.outcome.done():
            # An exception object of its own for each: awaiting one writes a traceback into it.
            waiter.outcome.set_exception(type(error)(str(error)))


def _fitting(waiters: Sequence[_Waiter]) -> int:
    """Count how many of the first go into one statement: one at least."""
    size = 0
    for number, waiter in enumerate(waiters):
        size += len(waiter.event.body)
        if number == MOST_ROWS_APART or (number and size > MOST_BYTES_APART):
            return number
    return len(waiters)
