"""The heartbeat of a worker when the database hangs, is late, or the heart itself has a defect."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from app.adapters.engines.heart import LEAVE_SECONDS, Heart
from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.memory.jobs import Jobs
from app.adapters.memory.workers import MemoryWorkers
from app.core.domain.errors import Unavailable
from app.core.ports.workers import Workers

LEASE, BEAT, STOP_BEFORE = 2.0, 0.2, 0.5


class WiredWorkers(MemoryWorkers):
    """Leases in memory at the end of a wire that the test holds."""

    def __init__(self) -> None:
        self.jobs = Jobs(MemoryEventStore())
        super().__init__(self.jobs)
        self.hangs = False
        self.raises: list[Exception] = []

    async def enlist(self, worker: str, name: str, lease_seconds: float) -> None:
        await self._passed()
        await super().enlist(worker, name, lease_seconds)

    async def renew(self, worker: str, lease_seconds: float) -> bool:
        await self._passed()
        return await super().renew(worker, lease_seconds)

    async def leave(self, worker: str) -> None:
        await self._passed()
        await super().leave(worker)

    async def _passed(self) -> None:
        while self.hangs:
            await asyncio.sleep(0.01)
        if self.raises:
            raise self.raises.pop(0)


@dataclass
class Told:
    """What the heart has called."""

    lost: list[float] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)


@pytest.fixture
def workers() -> WiredWorkers:
    return WiredWorkers()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def heart(workers: WiredWorkers, told: Told) -> AsyncIterator[Heart]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Workers]:
        yield workers

    heart = Heart(
        opened,
        name="test",
        lease_seconds=LEASE,
        heartbeat_seconds=BEAT,
        stop_before_seconds=STOP_BEFORE,
        on_lost=lambda: told.lost.append(time.monotonic()),
        on_failure=told.failures.append,
        on_stuck=lambda _seconds: pytest.fail("nothing holds the loop"),
    )
    async with asyncio.timeout(10):
        await heart.enlisted()
    yield heart
    workers.hangs = False
    await heart.close()


async def lost(told: Told, count: int = 1) -> None:
    """Wait until so many leases are."""
    async with asyncio.timeout(10):
        while len(told.lost) < count:
            await asyncio.sleep(0.005)


async def test_a_lease_is_held_for_as_long_as_it_is_renewed(heart: Heart, told: Told) -> None:
    worker = await heart.enlisted()
    await asyncio.sleep(1.1 * LEASE)
    assert heart.holds(worker)
    assert not heart.holds("another")
    assert (told.lost, told.failures) == ([], [])


async def test_a_renewal_that_hangs_delays_nothing(heart: Heart, workers: WiredWorkers, told: Told) -> None:
    """Jobs are stopped before the lease ends. When its renewal comes through after all, others need not wait."""
    worker = await heart.enlisted()
    workers.hangs = True
    await lost(told)
    assert workers.jobs.leases[worker] > workers.jobs.clock(), "others may have the jobs by now"
    assert heart.worker is None
    assert not heart.holds(worker)
    workers.hangs = False
    async with asyncio.timeout(10):
        other = await heart.enlisted()
        assert other != worker
        while worker in workers.jobs.leases:  # the late renewal is taken back as soon as it has come through
            await asyncio.sleep(0.005)
    assert other in workers.jobs.leases
    assert len(told.lost) == 1


async def test_a_failed_renewal_is_tried_again(heart: Heart, workers: WiredWorkers, told: Told) -> None:
    worker = await heart.enlisted()
    away = Unavailable("it is away")
    workers.raises.append(away)
    async with asyncio.timeout(10):
        while not told.failures or workers.raises:
            await asyncio.sleep(0.005)
    until = workers.jobs.leases[worker]
    async with asyncio.timeout(10):
        while workers.jobs.leases[worker] == until:
            await asyncio.sleep(0.005)
    assert heart.holds(worker)
    assert told.failures == [away]
    assert told.lost == []


async def test_a_defect_costs_the_lease_and_no_more(heart: Heart, workers: WiredWorkers, told: Told) -> None:
    """Nobody goes on as though there were one, and a new one is begun."""
    worker = await heart.enlisted()
    defect = KeyError("a defect")
    workers.raises.append(defect)
    await lost(told)
    async with asyncio.timeout(10):
        assert await heart.enlisted() != worker
    assert told.failures == [defect]


async def test_it_ends_in_time_though_nobody_answers(heart: Heart, workers: WiredWorkers) -> None:
    workers.hangs = True
    started = time.monotonic()
    await heart.close()
    assert time.monotonic() - started < LEAVE_SECONDS + 0.5


async def test_who_leaves_has_no_lease_any_more(heart: Heart, workers: WiredWorkers) -> None:
    await heart.close()
    assert workers.jobs.leases == {}
