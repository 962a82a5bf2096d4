"""Concurrent appends become one statement and one fsync.

The protocol. Callers put their events into one queue, each with somebody to tell its outcome to. A flusher takes what
waits (at most so many rows and bytes), appends it to the inner store in one call and tells each its outcome, once the
next batch is on its way; it goes on until the queue is empty. An idle store gets a flusher at once, and none lingers:
load makes the batch. While one is at work the next batch gathers, because one large commit costs far less than two
small ones; a second flusher sets out when the first has been at it for a while, so that a commit that hangs does not
hold up the next, or when a whole batch waits.

A batch that fails because of one of its rows (`RowFault`) is appended again in halves, until the row at fault stands
alone and fails alone; its neighbours are kept. Larger parts go first, because a lone row may wait for a lock as long
as the store lets it. Any other failure is the whole batch's.

Everybody is told within the budget, counted from the call: who still waits in the queue by then was not kept
(`Unavailable`), who is in flight may have been (`OutcomeUnknown`). Nearly all have the same budget, so they fall due in
the order in which they came, and one timer on the oldest serves them all; who has less time has a timer of its own.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from app.core.domain.errors import OpsConnectError, OutcomeUnknown, RowFault, Unavailable
from app.core.domain.event import NewEvent
from app.core.domain.ids import EventId
from app.core.ports.event_store import EventStore, Outcome, Pending

Tell = Callable[[Outcome | OpsConnectError], None]
"""Takes the one outcome of an event, in a later turn of the loop than the call. Must not raise."""


class Waiting:
    """An event on its way, and whom to tell. Whoever no longer wants to know withdraws it."""

    __slots__ = ("alarm", "due", "event", "pursued", "taken", "tell")

    def __init__(self, event: NewEvent, tell: Tell, due: float) -> None:
        self.event = event
        self.tell: Tell | None = tell
        """None once it was told, or withdrawn."""
        self.due = due
        self.taken = False
        """A flusher has it: it may be kept."""
        self.alarm: asyncio.TimerHandle | None = None
        """Of one that has less time than the others."""
        self.pursued: asyncio.Future[Outcome] | None = None
        """What awaits an outcome that came as `Pending`; once it was told otherwise, nothing more need be done."""

    def withdraw(self) -> None:
        """Tell nobody; if no flusher has it yet, it is not kept either."""
        self.tell = None
        if self.pursued is not None:
            self.pursued.cancel()
        if self.alarm is not None:
            self.alarm.cancel()

    def give_up(self) -> None:
        """Say that time is up."""
        if self.taken:
            self.settle(OutcomeUnknown("the commit did not end in time"))
        else:
            self.settle(Unavailable("no commit began in time: the database is too slow for what comes in"))

    def settle(self, outcome: Outcome | OpsConnectError) -> None:
        """Tell, unless that was done."""
        tell = self.tell
        if tell is not None:
            if self.pursued is None and self.alarm is None:
                self.tell = None
            else:
                self.withdraw()
            tell(outcome)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much goes into one commit, and how long a caller waits for it."""

    rows: int = 256
    bytes: int = 4_000_000
    """Of bodies; a single event may be larger."""
    flushers: int = 2
    patience_seconds: float = 0.01
    """So long one flusher is left alone at work."""
    budget_seconds: float = 1.8


class GroupCommit(EventStore):
    """An event store that commits in groups; every caller gets its own outcome, none is `Pending`."""

    def __init__(self, inner: EventStore, bounds: Bounds = Bounds()) -> None:
        self._inner = inner
        self._bounds = bounds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: deque[Waiting] = deque()
        self._due: deque[Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: set[asyncio.Task[None]] = set()
        self._last_take = 0.0
        self._impatience: asyncio.TimerHandle | None = None

    def epoch(self) -> str | None:
        """Pass on what the inner store vouches for."""
        return self._inner.epoch()

    async def count_duplicates(self, counts: Mapping[EventId, int]) -> None:
        """Pass on: counting is in groups already."""
        await self._inner.count_duplicates(counts)

    async def append(self, events: Sequence[NewEvent], *, budget_seconds: float | None = None) -> Sequence[Outcome]:
        """Queue each event and wait for its own outcome; the events of one call may land in different commits.

        `budget_seconds`: less than others have.
        """
        told: list[asyncio.Future[Outcome]] = []
        queued: list[Waiting] = []
        for event in events:
            future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            told.append(future)
            queued.append(self.submit(event, _into(future), budget_seconds))
        try:
            results = await asyncio.gather(*told, return_exceptions=True)
        finally:
            for waiting in queued:
                waiting.withdraw()
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if not isinstance(result, BaseException)]

    def submit(self, event: NewEvent, tell: Tell, budget_seconds: float | None = None) -> Waiting:
        """Queue an event and return; `tell` gets what `append` would give or raise, once and within the budget."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        waiting = Waiting(event, tell, loop.time() + self._bounds.budget_seconds)
        if budget_seconds is not None and budget_seconds < self._bounds.budget_seconds:
            waiting.alarm = loop.call_later(budget_seconds, waiting.give_up)
        self._queue.append(waiting)
        self._due.append(waiting)
        if self._timer is None:
            self._timer = loop.call_at(waiting.due, self._expire)
        if not self._flushing:
            self._start()
        elif len(self._flushing) < self._bounds.flushers:
            if len(self._queue) >= self._bounds.rows:
                self._start()
            elif self._impatience is None:
                self._impatience = loop.call_later(self._bounds.patience_seconds, self._lose_patience)
        return waiting

    @property
    def waiting(self) -> int:
        """Events that no flusher has taken yet."""
        return len(self._queue)

    def _start(self) -> None:
        loop = cast("asyncio.AbstractEventLoop", self._loop)
        self._last_take = loop.time()
        self._flushing.add(loop.create_task(self._flush(), name="flush"))

    def _lose_patience(self) -> None:
        """Send another flusher out if the last batch was taken too long ago."""
        self._impatience = None
        if not self._queue or len(self._flushing) >= self._bounds.flushers:
            return
        loop = cast("asyncio.AbstractEventLoop", self._loop)
        left = self._last_take + self._bounds.patience_seconds - loop.time()
        if left <= 0:
            self._start()
        else:
            self._impatience = loop.call_later(left, self._lose_patience)

    async def _flush(self) -> None:
        this = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            while batch := self._take():
                await self._commit(batch)
        finally:
            # Not in a callback of the task, which runs a moment later: who comes in between would find a flusher
            # busy and be seen by none.
            self._flushing.discard(this)

    def _take(self) -> list[Waiting]:
        due = self._due
        while due and due[0].tell is None:
            due.popleft()
        batch: list[Waiting] = []
        queue = self._queue
        size = 0
        for _ in range(min(len(queue), self._bounds.rows)):
            waiting = queue[0]
            # Who was given up, or withdrew, before anybody took him is not kept.
            if waiting.tell is not None:
                size += len(waiting.event.body)
                if batch and size > self._bounds.bytes:
                    break
                waiting.taken = True
                batch.append(waiting)
            queue.popleft()
        self._last_take = cast("asyncio.AbstractEventLoop", self._loop).time()
        return batch

    async def _commit(self, batch: Sequence[Waiting]) -> None:
        loop = cast("asyncio.AbstractEventLoop", self._loop)
        parts = deque([batch])
        while parts:
            # Time may run out on the way when many rows are blocked; those left over have their answer by then.
            part = [waiting for waiting in parts.popleft() if waiting.tell is not None]
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
                # In the loop's next turn: the store works on the next batch while these are told.
                loop.call_soon(_hand_over, part, outcomes)

    def _expire(self) -> None:
        """Tell everybody whose budget is used up; then wait for the next to fall due."""
        loop = cast("asyncio.AbstractEventLoop", self._loop)
        now = loop.time()
        while self._due and (self._due[0].due <= now or self._due[0].tell is None):
            self._due.popleft().give_up()
        while self._queue and self._queue[0].tell is None:  # let go of the events
            self._queue.popleft()
        self._timer = loop.call_at(self._due[0].due, self._expire) if self._due else None


def _into(future: "asyncio.Future[Outcome]") -> Tell:
    def tell(outcome: Outcome | OpsConnectError) -> None:
        if future.done():
            return
        if isinstance(outcome, OpsConnectError):
            # An exception object of its own for each: awaiting one writes a traceback into it.
            future.set_exception(type(outcome)(str(outcome)))
        else:
            future.set_result(outcome)

    return tell


def _fail(batch: Sequence[Waiting], error: OpsConnectError) -> None:
    for waiting in batch:
        waiting.settle(error)


def _hand_over(part: Sequence[Waiting], outcomes: Sequence[Outcome | Pending]) -> None:
    for waiting, outcome in zip(part, outcomes, strict=True):
        if isinstance(outcome, Pending):
            _pursue(outcome, waiting)
        else:
            waiting.settle(outcome)


def _pursue(pending: Pending, waiting: Waiting) -> None:
    def hand_over(done: "asyncio.Future[Outcome]") -> None:
        error = OutcomeUnknown("the commit broke off") if done.cancelled() else done.exception()
        if error is None:
            waiting.settle(done.result())
        elif isinstance(error, OpsConnectError):
            waiting.settle(error)
        else:
            waiting.settle(OutcomeUnknown(f"the commit broke off: {type(error).__name__}"))

    waiting.pursued = asyncio.ensure_future(pending.outcome)
    waiting.pursued.add_done_callback(hand_over)
