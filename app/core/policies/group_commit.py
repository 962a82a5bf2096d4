"""Concurrent appends become one statement and one fsync.

The protocol. Callers put their events into one queue and wait, each on a future of its own. A flusher takes what waits
(at most so many rows and bytes), appends it to the inner store in one call and hands each caller its outcome; it goes
on until the queue is empty. An idle flusher starts at once and never lingers: load makes the batch. There are at least
two, so that one commit that hangs does not hold up the next.

A batch that fails because of one of its rows (`RowFault`) is appended again in halves, until the row at fault stands
alone and fails alone; its neighbours are kept. Larger parts go first, because a lone row may wait for a lock as long
as the store lets it. Any other failure is the whole batch's.

Each caller gets an answer within the budget, counted from its call: who still waits in the queue by then was not kept
(`Unavailable`), who is in flight may have been (`OutcomeUnknown`). The futures are all made with the same budget, so
they fall due in the order in which they were made, and one timer on the oldest serves them all.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from app.core.domain.errors import OpsConnectError, OutcomeUnknown, RowFault, Unavailable
from app.core.domain.event import NewEvent
from app.core.domain.ids import EventId
from app.core.ports.event_store import EventStore, Outcome, Pending


class _Waiting(NamedTuple):
    event: NewEvent
    settled: "asyncio.Future[Outcome]"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much goes into one commit, and how long a caller waits for it."""

    rows: int = 256
    bytes: int = 4_000_000
    """Of bodies; a single event may be larger."""
    flushers: int = 2
    budget_seconds: float = 1.8


class GroupCommit(EventStore):
    """An event store that commits in groups; every caller gets its own outcome, none is `Pending`."""

    def __init__(self, inner: EventStore, bounds: Bounds = Bounds()) -> None:
        self._inner = inner
        self._bounds = bounds
        self._queue: deque[_Waiting] = deque()
        self._due: deque[tuple[float, asyncio.Future[Outcome]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: set[asyncio.Task[None]] = set()
        self._starting = False

    def epoch(self) -> str | None:
        """Pass on what the inner store vouches for."""
        return self._inner.epoch()

    async def count_duplicates(self, counts: Mapping[EventId, int]) -> None:
        """Pass on: counting is in groups already."""
        await self._inner.count_duplicates(counts)

    async def append(self, events: Sequence[NewEvent]) -> Sequence[Outcome]:
        """Queue each event and wait for its own outcome; the events of one call may land in different commits."""
        settled = [self._enqueue(event) for event in events]
        if len(settled) == 1:
            return [await settled[0]]
        results = await asyncio.gather(*settled, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if not isinstance(result, BaseException)]

    @property
    def waiting(self) -> int:
        """Events that no flusher has taken yet."""
        return len(self._queue)

    def _enqueue(self, event: NewEvent) -> "asyncio.Future[Outcome]":
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[Outcome] = loop.create_future()
        self._queue.append(_Waiting(event, settled))
        while self._due and self._due[0][1].done():
            self._due.popleft()
        due = loop.time() + self._bounds.budget_seconds
        self._due.append((due, settled))
        if self._timer is None:
            self._timer = loop.call_at(due, self._expire)
        # One flusher that has not begun yet will see this event too.
        if not self._starting and len(self._flushing) < self._bounds.flushers:
            self._starting = True
            self._flushing.add(loop.create_task(self._flush(), name="flush"))
        return settled

    async def _flush(self) -> None:
        self._starting = False
        this = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            while batch := self._take():
                await self._commit(batch)
        finally:
            # Not in a callback of the task, which runs a moment later: who comes in between would find all flushers
            # busy and be seen by none.
            self._flushing.discard(this)

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._queue and len(batch) < self._bounds.rows:
            # Who was given up, or left, before anybody took him is not kept.
            if not self._queue[0].settled.done():
                size += len(self._queue[0].event.body)
                if batch and size > self._bounds.bytes:
                    break
                batch.append(self._queue[0])
            self._queue.popleft()
        return batch

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        parts = deque([batch])
        while parts:
            # Time may run out on the way when many rows are blocked; those left over have their answer by then.
            part = [waiting for waiting in parts.popleft() if not waiting.settled.done()]
            if not part:
                continue
            try:
                outcomes = await self._inner.append([waiting.event for waiting in part])
            except RowFault as fault:
                if len(part) == 1:
                    _fail(part, fault)
                else:
                    middle = len(part) // 2
                    parts += (part[:middle], part[middle:])
            except OpsConnectError as error:
                _fail(part, error)
            except BaseException as error:
                # A defect or the end of the process: nobody may be left waiting, and nobody knows what was kept.
                for broken_off in (part, *parts):
                    _fail(broken_off, OutcomeUnknown(f"the commit broke off: {type(error).__name__}"))
                if not isinstance(error, Exception):
                    raise
                # Those in the queue still have a flusher.
                context = {"message": "appending a batch of events failed in an unknown way", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
                return
            else:
                _hand_over(part, outcomes)

    def _expire(self) -> None:
        """Answer everybody whose budget is used up; then wait for the next to fall due."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._due and (self._due[0][0] <= now or self._due[0][1].done()):
            _, settled = self._due.popleft()
            if not settled.done():
                # The queue has the same order, so whoever is due and still in it is the first there.
                self._forget_answered()
                queued = bool(self._queue) and self._queue[0].settled is settled
                settled.set_exception(_too_late(queued=queued))
        self._forget_answered()
        self._timer = loop.call_at(self._due[0][0], self._expire) if self._due else None

    def _forget_answered(self) -> None:
        """Let go of the events at the head of the queue whose callers need no answer any more."""
        while self._queue and self._queue[0].settled.done():
            self._queue.popleft()


def _too_late(*, queued: bool) -> OpsConnectError:
    if queued:
        return Unavailable("no commit began in time: the database is too slow for what comes in")
    return OutcomeUnknown("the commit did not end in time")


def _fail(batch: Sequence[_Waiting], error: OpsConnectError) -> None:
    for waiting in batch:
        if not waiting.settled.done():
            # An exception object of its own for each: awaiting one writes a traceback into it.
            waiting.settled.set_exception(type(error)(str(error)))


def _hand_over(part: Sequence[_Waiting], outcomes: Sequence[Outcome | Pending]) -> None:
    for waiting, outcome in zip(part, outcomes, strict=True):
        if isinstance(outcome, Pending):
            _follow(outcome, waiting.settled)
        elif not waiting.settled.done():
            waiting.settled.set_result(outcome)


def _follow(pending: Pending, settled: "asyncio.Future[Outcome]") -> None:
    def hand_over(done: "asyncio.Future[Outcome]") -> None:
        error = OutcomeUnknown("the commit broke off") if done.cancelled() else done.exception()
        if settled.done():
            return
        if error is not None:
            settled.set_exception(error)
        else:
            settled.set_result(done.result())

    outcome = asyncio.ensure_future(pending.outcome)
    outcome.add_done_callback(hand_over)
    # Who is answered in another way, because time was up, gives up: nothing more need be done for him.
    settled.add_done_callback(lambda _: outcome.cancel())
