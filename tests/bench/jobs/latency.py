"""From a webhook's 202 to the start of its job's step, by one clock: `opsconnect serve` and a worker, few events."""

import asyncio
import hmac
import json
import statistics
import time
from collections.abc import Mapping
from random import Random

import aiohttp

from tests.bench.clock import Clock
from tests.bench.jobs.opsconnect import OpsConnect
from tests.bench.jobs.turns import WARM_UP_JOBS, Turn
from tests.bench.load import BODY, PATH, SECRET
from tests.e2e.api import until

PER_SECOND = 50
WARM_UP_SECONDS = 2.0
"""What is sent at first counts for nothing."""

# The worker notes when it is about to call the action, before it does.
STARTED = """
SELECT coalesce(json_object_agg(event_id, steps::json->0->'first_tried'), '{}')::text FROM finished_jobs
WHERE event_id = ANY($1::uuid[]) AND status = 'completed'
"""


def turn(contender: OpsConnect, seconds: float, random: Random) -> Turn:
    """Send at random moments, as many strangers do, and look up when each step began."""
    contender.empty()
    contender.fill(WARM_UP_JOBS)
    contender.api.start()
    try:
        contender.start()
        until(lambda: not contender.left(), 60, "the end of the warm-up")
        before = Clock(contender.pid, contender.machinery)
        answered, refused = asyncio.run(_sent(contender.api.url + PATH, seconds, random))
        used = Clock(contender.pid, contender.machinery).since(before)
        until(lambda: not contender.left(), 60, "the end of the last job")
        started: dict[str, float] = json.loads(contender.look.row(STARTED, list(answered))[0])
    finally:
        contender.stop()
        contender.api.stop()
    faults = [f"{contender.name}: {refused} answers that were not 202"] if refused else []
    if lost := answered.keys() - started.keys():
        faults.append(f"{contender.name}: {len(lost)} of {len(answered)} accepted events without a completed job")
    waits = [(started[event_id] - moment) * 1000 for event_id, moment in answered.items() if event_id in started]
    hundredths = statistics.quantiles(waits, n=100, method="inclusive")
    return Turn(
        jobs=len(answered),
        seconds=seconds,
        application=used.application / len(answered) * 1e6,
        postgres=used.postgres / len(answered) * 1e6,
        redis=used.redis / len(answered) * 1e6,
        core_busy=used.cores_busy,
        foreign_cores=used.foreign / used.wall,
        stolen_cores=used.stolen / used.wall,
        faults=tuple(faults),
        p50=hundredths[49],
        p99=hundredths[98],
    )


async def _sent(url: str, seconds: float, random: Random) -> tuple[Mapping[str, float], int]:
    """Send; give when each event's 202 was there, in seconds since the epoch, and how many answers were none."""
    answered: dict[str, float] = {}
    refused = 0
    signature = "sha256=" + hmac.digest(SECRET.encode(), BODY, "sha256").hex()
    run = f"{time.time_ns():x}"

    async def one(session: aiohttp.ClientSession, number: int, counts: bool) -> None:
        nonlocal refused
        headers = {
            "X-Signature": signature, "X-Delivery-Id": f"{run}-{number}", "Content-Type": "application/json"
        }  # fmt: skip
        async with session.post(url, data=BODY, headers=headers) as response:
            said = await response.read()
            moment = time.time()
        if response.status != 202:
            refused += 1
        elif counts:
            answered[json.loads(said)["event_id"]] = moment

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session, asyncio.TaskGroup() as group:
        began, due, number = time.monotonic(), 0.0, 0
        while (due := due + random.expovariate(PER_SECOND)) < WARM_UP_SECONDS + seconds:
            await asyncio.sleep(max(began + due - time.monotonic(), 0))
            group.create_task(one(session, number := number + 1, due > WARM_UP_SECONDS))
    return answered, refused
