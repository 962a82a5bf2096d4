"""Every event's effect happens, and each under one key, whatever becomes of workers and Postgres meanwhile.

CHAOS_EVENTS and CHAOS_FAULTS say how many (`make chaos`: 10,000 and fifty); the seed is printed, and CHAOS_SEED repeats
its choices.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Servers
from tests.e2e.api import Api, until
from tests.e2e.conftest import DEMO, configure
from tests.e2e.crashing import EXIT_CODE, POINTS
from tests.e2e.job_ledger import assert_effects, states
from tests.e2e.ledger import assert_ledger
from tests.e2e.plugins import installed
from tests.e2e.sender import SECRET, Sent, deliveries, send_all
from tests.e2e.sink import Sink, sink
from tests.e2e.worker import Worker, make_worker

EVENTS = int(os.environ.get("CHAOS_EVENTS", "2000"))
FAULTS = int(os.environ.get("CHAOS_FAULTS", "4"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.randrange(1, 1 << 32)
FAILING = 0.2
FROZEN_SECONDS = 3.6
"""Longer than a lease lasts, and the next look for lost jobs."""
LAST_SECONDS = 60.0
"""Once the faults have stopped."""


@pytest.fixture
def failing_sink() -> Iterator[Sink]:
    with sink(seed=SEED, failing=FAILING) as book:
        yield book


@pytest.fixture
def stage(own_servers: Servers, tmp_path: Path, failing_sink: Sink) -> Iterator[tuple[Api, list[Worker]]]:
    """An API and two workers, started together."""
    url = own_servers.postgres.url()
    connection = {
        "name": "sink",
        "connector": "http",
        "settings": {"base_url": failing_sink.url},
        "allow_private": ["127.0.0.1"],
    }
    configure(url, {**DEMO, "run": "sink.post"}, connections=[connection])
    api = Api(url, own_servers.redis.url(), tmp_path / "api.log", more={"DEMO_SECRET": SECRET})
    trapped = installed(tmp_path / "site", "crashing", "tests.e2e.crashing")
    chance = random.Random(SEED + 1)
    workers = [make_worker(url, tmp_path, f"worker-{n}", **trapped, CRASH_AT=_trap(chance)) for n in range(2)]
    everybody = (api, *workers)
    try:
        for process in everybody:
            process.start(wait=False)
        until(lambda: all(process._is_ready() for process in everybody), 30, "the start")
        yield api, workers
    finally:
        for process in everybody:
            if process.process is not None:
                process.process.kill()
                process.process.wait(10)


async def test_every_effect_happens_under_one_key(
    stage: tuple[Api, list[Worker]], own_servers: Servers, failing_sink: Sink
) -> None:
    """A sink that fails a fifth of all requests; workers killed, or frozen beyond their lease; Postgres restarted.

    And each worker ends by itself at the worst of moments, if it is not killed before.
    """
    api, workers = stage
    chance = random.Random(SEED)
    work = deliveries(EVENTS)
    started = time.monotonic()
    faults = Counter[str]()
    async with asyncio.timeout(60 + 15 * FAULTS):
        for number in range(FAULTS):
            # A part for each fault, so that there is something to do whenever one comes.
            sending = asyncio.create_task(_send(api, work[number::FAULTS]))
            await asyncio.sleep(chance.uniform(0.1, 0.6))
            if number == FAULTS // 2:
                await asyncio.to_thread(_restart, own_servers)
            fault = ("kill", "freeze")[number % 2] if number < 2 else chance.choice(("kill", "freeze"))
            faults[await asyncio.to_thread(_strike, chance.choice(workers), fault, _trap(chance))] += 1
            await sending
    stopped = time.monotonic()
    while await states(api.database_url) != {"processed": EVENTS} and time.monotonic() < stopped + LAST_SECONDS:
        for worker in workers:
            if worker.ended:
                faults[await asyncio.to_thread(_strike, worker, "", "")] += 1
        await asyncio.sleep(0.1)
    await assert_ledger(api.database_url, work, planned=True)
    endings = await assert_effects(api.database_url, work, failing_sink.hits)
    seconds = f"{stopped - started:.1f} s of faults, {time.monotonic() - stopped:.1f} s until all was done"
    print(f"\nCHAOS_SEED={SEED}: {EVENTS} events, {dict(faults)}, {endings}, {len(failing_sink.hits)} hits, {seconds}")
    assert endings.get("lost"), "the faults came too late to show anything"
    assert endings.get("failed"), "the sink never failed"


async def _send(api: Api, work: list[Sent]) -> None:
    while left := [sent for sent in work if not sent.acknowledged]:
        await send_all(api.port, left)
        await asyncio.sleep(0.1)


def _trap(chance: random.Random) -> str:
    """Choose where a worker ends by itself, unless it is killed before."""
    point = chance.choice(list(POINTS))
    return f"{point}:{chance.randint(1, POINTS[point][3])}"


def _strike(worker: Worker, fault: str, trap: str) -> str:
    """Do something to a worker, and say what; whoever has ended by itself is started again, and that is enough."""
    if worker.ended:
        assert worker.stop() == EXIT_CODE, worker.log.read_text()[-2000:]
        fault = worker.more["CRASH_AT"].partition(":")[0]
    if fault == "freeze":
        worker.freeze()
        time.sleep(FROZEN_SECONDS)
        worker.thaw()
    else:
        worker.kill()
        worker.said_before = worker.log.stat().st_size
        worker.more["CRASH_AT"] = trap
        worker.start(wait=False)
        until(lambda: worker.ended or worker._is_ready(), 30, "the start")
    return fault


def _restart(servers: Servers) -> None:
    servers.postgres.stop()
    servers.postgres.start()
