"""The protocol: rounds in which every contender takes its turn, each turn checked."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tests.bench.clock import Clock
from tests.bench.jobs.contender import Contender
from tests.bench.machine import check_pinning
from tests.bench.rounds import MOST_FOREIGN_CORES, Patience
from tests.e2e.api import until

WARM_UP_JOBS = 200
LOOK_SECONDS = 0.02
LONGEST_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One contender's turn. CPU in microseconds a job."""

    jobs: int
    seconds: float
    application: float
    postgres: float
    redis: float
    core_busy: tuple[float, ...]
    """How much of each core was in use, 0 to 1."""
    foreign_cores: float
    stolen_cores: float
    faults: tuple[str, ...]
    p50: float = 0.0
    """Milliseconds from the 202 to the step, where that is what is measured."""
    p99: float = 0.0

    @property
    def per_second(self) -> float:
        """Jobs a second."""
        return self.jobs / self.seconds

    @property
    def disturbed(self) -> bool:
        """Whether others used more of the machine than a measurement bears."""
        return self.foreign_cores > MOST_FOREIGN_CORES


@dataclass(slots=True)
class Result:
    """A contender's turns."""

    name: str
    other: bool
    turns: list[Turn] = field(default_factory=list)
    discarded: int = 0
    """Turns taken again because others used the machine."""


Results = Mapping[str, Result]
C = TypeVar("C", bound=Contender)


def run(
    contenders: Sequence[C], take: Callable[[C], Turn], rounds: int, patience: Patience, tell: Callable[[str], None]
) -> dict[str, Result]:
    """Have everybody take a turn in each round."""
    results = {one.name: Result(one.name, one.other) for one in contenders}
    for number in range(1, rounds + 1):
        for contender in contenders:
            tell(f"round {number} of {rounds} · {contender.name}")
            results[contender.name].turns.append(_undisturbed(contender, take, patience, results[contender.name]))
    return results


def _undisturbed(contender: C, take: Callable[[C], Turn], patience: Patience, result: Result) -> Turn:
    """Take a turn, again while others disturb it and there is patience; the least disturbed counts in the end."""
    best: Turn | None = None
    while True:
        patience.wait()
        began = time.monotonic()
        one = take(contender)
        if one.faults:
            return one
        if best is None or one.foreign_cores < best.foreign_cores:
            best = one
        took = time.monotonic() - began
        if not best.disturbed or patience.left < took:
            return best
        patience.spend(took)
        result.discarded += 1


def turn(contender: Contender, jobs: int) -> Turn:
    """Have a warm worker find so many jobs before it, and take the time until the last one is recorded as done."""
    contender.empty()
    contender.fill(WARM_UP_JOBS)
    contender.start()
    try:
        until(lambda: not contender.left(), 60, f"the end of the warm-up of {contender.name}")
        check_pinning({contender.name: contender.pid})
        contender.freeze()
        contender.fill(jobs)
        before, started = Clock(contender.pid, contender.machinery), time.monotonic()
        contender.thaw()
        while contender.left():
            assert time.monotonic() < started + LONGEST_SECONDS, f"{contender.name} does not get done"
            time.sleep(LOOK_SECONDS)
        seconds = time.monotonic() - started
        used = Clock(contender.pid, contender.machinery).since(before)
        recorded = contender.recorded()
    finally:
        contender.stop()
    wanted = jobs + WARM_UP_JOBS
    faults = [] if set(recorded) == {wanted} else [f"{contender.name}: {wanted} jobs, recorded as done: {recorded}"]
    return Turn(
        jobs=jobs,
        seconds=seconds,
        application=used.application / jobs * 1e6,
        postgres=used.postgres / jobs * 1e6,
        redis=used.redis / jobs * 1e6,
        core_busy=used.cores_busy,
        foreign_cores=used.foreign / used.wall,
        stolen_cores=used.stolen / used.wall,
        faults=tuple(faults),
    )
