"""Far more webhooks than can be kept: what still is kept, what the others are told, and what it costs in memory.

The rate that one process sustains is found first. Then wrk floods a process with so many times that, on thousands of
connections and after a timetable; beside it probes time what a single sender sees, and hold each promise that they were
given against Postgres.
"""

import asyncio
import math
import resource
import statistics
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench import load, rounds
from tests.bench.clock import Clock
from tests.bench.machinery import Machinery
from tests.bench.opsconnect import ON, OpsConnect
from tests.bench.probe import LATE_SECONDS, Answered, Probe

MAXIMUM_SECONDS = 5
PROBED_PER_SECOND = 25
"""By each of the two probes."""
KEPT_CONNECTIONS = 75
"""Each is used every three seconds, before it is closed for being idle."""
LOOK_SECONDS = 0.5
ALLOWED = {200, 202, 429, 503}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much, how long."""

    seconds: int = 60
    times: float = 5.0
    """Of the rate that is sustained."""
    connections: int = 2_000
    """The most requests that wait at once, as far as the senders go."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it; times in milliseconds."""

    plan: Plan
    maximum: float
    """Accepted a second at 256 connections, before it."""
    flood: load.Flood
    probed: tuple[Answered, ...]
    kept: int
    """Rows in the end: those whose answer nobody saw, because the flood was over, are among them."""
    megabytes: tuple[float, ...]
    """Twice a second."""
    cores_busy: tuple[float, ...]
    faults: tuple[str, ...]

    @property
    def statuses(self) -> Counter[int]:
        """Answers, by status; 0 where there was none."""
        return Counter(self.flood.statuses) + Counter(answer.status for answer in self.probed)

    @property
    def accepted(self) -> int:
        """Told 202, and 200 to those that were sent again."""
        return self.statuses[202] + self.statuses[200]

    @property
    def goodput(self) -> float:
        """Accepted a second, of the maximum."""
        return self.accepted / self.flood.seconds / self.maximum

    @property
    def sent(self) -> float:
        """Requests a second that came and were answered, of the maximum."""
        return self.statuses.total() / self.flood.seconds / self.maximum

    @property
    def refusals(self) -> dict[int, int]:
        """Told to come again later, by status."""
        return {status: self.statuses[status] for status in (429, 503) if self.statuses[status]}

    @property
    def without_retry_after(self) -> int:
        """Refusals that do not say when to come again."""
        hasty = sum(answer.status in {429, 503} and not answer.retry_after for answer in self.probed)
        return self.flood.without_retry_after + hasty

    @property
    def growth(self) -> float:
        """Memory in the last third over that in the second: the first fills what is bounded."""
        third = max(len(self.megabytes) // 3, 1)
        return statistics.median(self.megabytes[-third:]) / statistics.median(self.megabytes[-2 * third : -third]) - 1

    @property
    def unanswered(self) -> int:
        """Of the probes: broken off, or longer than ten seconds."""
        return self.statuses[0]

    def milliseconds(self, share: float, statuses: Collection[int], *, fresh: bool) -> float | None:
        """Give what so many of the probes' answers did not exceed; None where there was no such answer."""
        asked = [answer for answer in self.probed if answer.fresh == fresh and answer.status in statuses]
        times = sorted(answer.milliseconds for answer in asked)
        return times[min(math.ceil(share * len(times)), len(times)) - 1] if times else None


def measure(machinery: Machinery, folder: Path, plan: Plan, tell: Callable[[str], None]) -> Outcome:
    """Flood a process of its own."""
    plan = _within_limits(plan)
    more = {"OPSCONNECT_CONNECTIONS_PER_ADDRESS": "65535"}  # all senders have one address here
    variant = OpsConnect(ON, machinery.servers, folder, machinery.sink, more)
    try:
        tell("overload · finding the rate that is sustained")
        rounds.turn(variant, machinery, 2, rounds.USUAL)
        usual = rounds.turn(variant, machinery, MAXIMUM_SECONDS, rounds.MANY)
        variant.empty()
        tell(f"overload · {plan.times:g} times {usual.load.per_second:,.0f}/s for {plan.seconds} s")
        before = Clock(variant.pid, machinery)
        flood, probed, megabytes = asyncio.run(_flood(variant, plan, usual.load.per_second * plan.times))
        cores = Clock(variant.pid, machinery).since(before).cores_busy
        _, rows = rounds.settled(variant)
        kept = variant.kept([answer.delivery_id for answer in probed])
        faults = [*usual.faults, *broken_promises(flood, probed, rows, kept)]
    finally:
        variant.stop()
    return Outcome(plan, usual.load.per_second, flood, tuple(probed), rows[0], megabytes, cores, tuple(faults))


async def _flood(
    variant: OpsConnect, plan: Plan, per_second: float
) -> tuple[load.Flood, list[Answered], tuple[float, ...]]:
    megabytes: list[float] = []

    async def look() -> None:
        process = psutil.Process(variant.pid)
        while True:
            megabytes.append(process.memory_info().rss / 1e6)
            await asyncio.sleep(LOOK_SECONDS)

    kept = Probe(variant.port, per_second=PROBED_PER_SECOND, connections=KEPT_CONNECTIONS, fresh=False)
    fresh = Probe(
        variant.port, per_second=PROBED_PER_SECOND, connections=int(PROBED_PER_SECOND * LATE_SECONDS), fresh=True
    )
    await kept.open()
    looking = asyncio.create_task(look())
    flooding = asyncio.to_thread(
        load.flood, variant.port, seconds=plan.seconds, connections=plan.connections, per_second=per_second
    )
    flood, on_kept, on_fresh = await asyncio.gather(flooding, kept.run(plan.seconds), fresh.run(plan.seconds))
    looking.cancel()
    return flood, [*on_kept, *on_fresh], tuple(megabytes)


def broken_promises(
    flood: load.Flood, probed: Sequence[Answered], rows: tuple[int, ...], kept: Mapping[str, str]
) -> list[str]:
    """Compare what was answered with the tables' rows and with the events of the probes' deliveries."""
    faults = []
    statuses = Counter(flood.statuses) + Counter(answer.status for answer in probed if answer.status)
    if strange := {status: number for status, number in statuses.items() if status not in ALLOWED}:
        faults.append(f"answers outside 200, 202, 429 and 503: {strange}")
    if len(set(rows)) != 1:
        faults.append(f"tables do not agree: {rows}")
    if (missing := statuses[202] - min(rows)) > 0:
        faults.append(f"{missing} of {statuses[202]} accepted webhooks are missing in Postgres")
    promised = [answer for answer in probed if answer.status in {200, 202}]
    lost = [answer for answer in promised if kept.get(answer.delivery_id) != answer.event_id]
    if lost:
        faults.append(f"{len(lost)} of the probes' accepted webhooks are not what Postgres has: {lost[0]}")
    return faults


def _within_limits(plan: Plan) -> Plan:
    """Ask for as many open files as the connections take, here and for what is started from here."""
    spare = 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = plan.connections + spare
    if soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        return Plan(plan.seconds, plan.times, allowed - spare)
    return plan
