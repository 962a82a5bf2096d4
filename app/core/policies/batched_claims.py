"""Writing what many jobs have to tell in one statement: while one is under way, the next ones gather.

No job lingers for others: an idle writer goes at once. A batch that fails because of one row is written one by one, so
that it costs nobody else his result. While the database is away, what there is to tell waits: an action that had its
effect is not forgotten because nobody could be told. Whoever has lost his jobs meanwhile hears so when it is back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Generic, TypeVar

from app.core.domain.errors import OutcomeUnknown, Unavailable
from app.core.domain.ids import JobId
from app.core.ports.job_claims import ClaimedJob, JobClaims, Progress, Rescued, Settlement

MOST_IN_BATCH = 256
SHORTEST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 1.0

T = TypeVar("T", bound=Progress | Settlement)


class BatchedClaims(JobClaims):
    """Claims in front of claims."""

    def __init__(self, inner: JobClaims, *, on_failure: Callable[[Exception], None] = lambda _error: None) -> None:
        self._inner = inner
        self._records = _Batches[Progress](inner.record, on_failure)
        self._settlements = _Batches[Settlement](inner.settle, on_failure)

    async def claim(self, worker: str, most: int, *, suspect: bool = False) -> Sequence[ClaimedJob]:
        """Claim as it is: it is a batch already."""
        return await self._inner.claim(worker, most, suspect=suspect)

    async def record(self, progress: Sequence[Progress]) -> Collection[JobId]:
        """Record together with whoever else does."""
        return await self._records.written(progress)

    async def settle(self, settlements: Sequence[Settlement]) -> Collection[JobId]:
        """Settle together with whoever else does."""
        return await self._settlements.written(settlements)

    async def rescue(self) -> Rescued:
        """Rescue as it is."""
        return await self._inner.rescue()


class _Batches(Generic[T]):
    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[Collection[JobId]]],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._write = write
        self._on_failure = on_failure
        self._waiting: list[tuple[T, asyncio.Future[Collection[JobId]]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def written(self, items: Sequence[T]) -> Collection[JobId]:
        """Wait until all of these are written; give what was given for them."""
        loop = asyncio.get_running_loop()
        if len(items) == 1:  # as is usual
            one: asyncio.Future[Collection[JobId]] = loop.create_future()
            self._waiting.append((items[0], one))
            self._begin(loop)
            return await one
        mine: list[asyncio.Future[Collection[JobId]]] = [loop.create_future() for _ in items]
        self._waiting += zip(items, mine, strict=True)
        self._begin(loop)
        return {job_id for held in await asyncio.gather(*mine) for job_id in held}

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._writer is None:
            self._writer = loop.create_task(self._work(), name="write what jobs tell")

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._write_batch(self._next_batch())
        finally:
            self._writer = None

    def _next_batch(self) -> Sequence[tuple[T, asyncio.Future[Collection[JobId]]]]:
        """Take the next ones, none of them of the same job: the answer names jobs, and one token may be another's."""
        batch, left = dict[JobId, tuple[T, asyncio.Future[Collection[JobId]]]](), []
        for one in self._waiting:
            job_id = one[0].job_id
            if job_id in batch or len(batch) == MOST_IN_BATCH:
                left.append(one)
            else:
                batch[job_id] = one
        self._waiting = left
        return list(batch.values())

    async def _write_batch(self, batch: Sequence[tuple[T, asyncio.Future[Collection[JobId]]]]) -> None:
        try:
            held = set(await self._patiently([item for item, _ in batch]))
        except Exception as error:  # noqa: BLE001 (a row that is refused, or a defect, which one row may bring out too)
            if len(batch) == 1:
                _fail(batch, error)
            for one in batch if len(batch) > 1 else ():
                await self._write_batch([one])
        else:
            for item, waiting in batch:
                if not waiting.done():
                    waiting.set_result({item.job_id} & held)

    async def _patiently(self, items: Sequence[T]) -> Collection[JobId]:
        """Write, as often as it takes; what was written already is not this worker's any more, which does no harm."""
        wait_seconds = SHORTEST_WAIT_SECONDS
        while True:
            try:
                return await self._write(items)
            except (Unavailable, OutcomeUnknown) as error:
                self._on_failure(error)
                await asyncio.sleep(wait_seconds)
                wait_seconds = min(2 * wait_seconds, LONGEST_WAIT_SECONDS)


def _fail(batch: Sequence[tuple[T, asyncio.Future[Collection[JobId]]]], error: Exception) -> None:
    for _, waiting in batch:
        if not waiting.done():
            waiting.set_exception(error)
