"""The protocol: warm up, then rounds in which every variant takes its turn, each round checked."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.bench import load, machine
from tests.bench.clock import Clock
from tests.bench.machinery import Machinery
from tests.bench.opsconnect import SPANS_A_REQUEST
from tests.bench.variants import NAIVE, Counted, Variant, resident_megabytes
from tests.e2e.api import until

MOST_FOREIGN_CORES = 0.15
USUAL, MANY, ONE = 64, 256, 1
"""Connections."""
WARM_UP_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Course:
    """A turn: so long, on so many connections."""

    connections: int
    seconds: int
    without: frozenset[str] = frozenset()
    """Who takes no part."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How long and how often."""

    rounds: int = 5
    seconds: int = 10
    """Of a turn on 64 connections; on 256 half of that, on one a fifth."""
    within_seconds: float | None = None
    """From the first turn on. No round is begun that would not end by then; one there is always."""
    patience_seconds: float = 180.0
    """For all waits for a quiet moment, and all rounds done again because others used the machine."""

    @property
    def courses(self) -> tuple[Course, ...]:
        """What a round consists of."""
        return (
            Course(USUAL, self.seconds),
            Course(MANY, max(1, self.seconds // 2), frozenset({NAIVE})),  # it is no yardstick there
            Course(ONE, max(1, self.seconds // 5)),
        )


@dataclass(frozen=True, slots=True)
class Round:
    """One variant's turn. CPU in microseconds a request, times in milliseconds."""

    load: load.Load
    application: float
    postgres: float
    redis: float
    sink: float
    sender: float
    core_busy: tuple[float, ...]
    """How much of each core was in use, 0 to 1."""
    foreign_cores: float
    stolen_cores: float
    """Taken by the host of a virtual machine."""
    batch: float
    """Events a commit."""
    rows: int
    faults: tuple[str, ...]

    @property
    def disturbed(self) -> bool:
        """Whether others used more of the machine than a measurement bears."""
        return self.foreign_cores > MOST_FOREIGN_CORES


@dataclass(slots=True)
class Result:
    """A variant's rounds."""

    name: str
    rounds: dict[int, list[Round]] = field(default_factory=dict)
    """By the number of connections."""
    megabytes: float = 0.0
    """The most it ever had."""
    discarded: int = 0
    """Rounds done again because others used the machine."""
    spans_expected: int = 0
    """None is expected of a variant that sends none, or cannot say how many requests it has answered."""
    spans_arrived: int = 0
    spans_dropped: int = 0
    """As `/metrics` counts them: a request that found the queue full counts once."""

    @property
    def every_round(self) -> list[Round]:
        """All of them, on however many connections."""
        return [one for rounds in self.rounds.values() for one in rounds]

    @property
    def faults(self) -> list[str]:
        """What makes the figures worthless."""
        return [fault for one in self.every_round for fault in one.faults]


class Patience:
    """The time that may still be spent on waiting for a quiet moment."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    def wait(self) -> None:
        """Wait for one, as long as there is patience."""
        started = time.monotonic()
        machine.wait_until_quiet(MOST_FOREIGN_CORES, self.left)
        self.spend(time.monotonic() - started - machine.LOOK_SECONDS)

    def spend(self, seconds: float) -> None:
        """Lose some."""
        self.left -= max(seconds, 0.0)


def run(
    variants: Sequence[Variant],
    machinery: Machinery,
    protocol: Protocol,
    courses: Sequence[Course],
    tell: Callable[[str], None],
) -> dict[str, Result]:
    """Take all the turns, and end the variants."""
    patience = Patience(protocol.patience_seconds)
    results = {variant.name: Result(variant.name) for variant in variants}
    for variant in variants:
        tell(f"warm-up · {variant.name}")
        turn(variant, machinery, min(WARM_UP_SECONDS, protocol.seconds), USUAL)
    for number in _in_time(protocol):
        for course in courses:
            for variant in (one for one in variants if one.name not in course.without):
                tell(f"round {number} of {protocol.rounds} · {course.connections} connections · {variant.name}")
                result = results[variant.name]
                one = _undisturbed(variant, machinery, course, patience, result)
                result.rounds.setdefault(course.connections, []).append(one)
    for variant in variants:
        _end(variant, results[variant.name])
    return results


def _in_time(protocol: Protocol) -> Iterator[int]:
    """Number the rounds, as long as the next one would end in time if it took no longer than the longest so far."""
    started = time.monotonic()
    longest = 0.0
    for number in range(1, protocol.rounds + 1):
        began = time.monotonic()
        if protocol.within_seconds is not None and began + longest > started + protocol.within_seconds:
            return
        yield number
        longest = max(longest, time.monotonic() - began)


def _end(variant: Variant, result: Result) -> None:
    result.megabytes = resident_megabytes(variant.pid)
    counted = variant.counted()
    variant.stop()
    result.spans_arrived = variant.spans_arrived()
    if counted is not None and result.spans_arrived:
        result.spans_expected = SPANS_A_REQUEST * counted.accepted + counted.flushes
        result.spans_dropped = counted.spans_dropped


def _undisturbed(variant: Variant, machinery: Machinery, course: Course, patience: Patience, result: Result) -> Round:
    """Take a turn, again while others disturb it and there is patience; the least disturbed counts in the end."""
    best: Round | None = None
    while True:
        patience.wait()
        one = turn(variant, machinery, course.seconds, course.connections)
        if one.faults:
            return one
        if best is None or one.foreign_cores < best.foreign_cores:
            best = one
        if not best.disturbed or patience.left < course.seconds:
            return best
        patience.spend(course.seconds)
        result.discarded += 1


def turn(variant: Variant, machinery: Machinery, seconds: int, connections: int) -> Round:
    """Empty it, send, and compare what was answered with what was kept."""
    variant.empty()
    counted = variant.counted()
    before = Clock(variant.pid, machinery)
    seen = load.send(variant.port, seconds=seconds, connections=connections)
    used = Clock(variant.pid, machinery).since(before)
    faults = [f"{seen.errors} broken connections or missing answers"] if seen.errors else []
    if not seen.requests:
        faults.append("not one answer")
    if seen.refused:
        faults.append(f"{seen.refused} answers of 400 and above")
    since, rows, wrong = _kept(variant, counted, seen, connections)
    variant.spans_arrived()  # the sink counts now, not in somebody's turn
    each = 1e6 / max(seen.requests, 1)
    return Round(
        load=seen,
        application=used.application * each,
        postgres=used.postgres * each,
        redis=used.redis * each,
        sink=used.sink * each,
        sender=used.sender * each,
        core_busy=used.cores_busy,
        foreign_cores=used.foreign / used.wall,
        stolen_cores=used.stolen / used.wall,
        batch=since.flushed_rows / since.flushes if since.flushes else 0.0,
        rows=rows,
        faults=tuple(f"{variant.name}: {fault}" for fault in [*faults, *wrong]),
    )


def settled(variant: Variant) -> tuple[Counted | None, tuple[int, ...]]:
    """Give what it counts and what is in Postgres, once what was in flight has settled."""

    def still() -> tuple[Counted | None, tuple[int, ...]] | None:
        counted, rows = variant.counted(), variant.rows()
        return (counted, rows) if counted == variant.counted() else None

    counted, rows = until(still, what="a settled count")
    return counted, rows


def _kept(
    variant: Variant, before: Counted | None, seen: load.Load, connections: int
) -> tuple[Counted, int, list[str]]:
    """Compare what was acknowledged with what is in Postgres."""
    after, rows = settled(variant)
    if not rows:
        return Counted(), 0, []
    since = after.since(before) if after and before else Counted()
    faults = []
    if len(set(rows)) != 1:
        faults.append(f"tables do not agree: {rows}")
    if after and rows[0] != since.accepted:
        faults.append(f"{since.accepted} accepted, but {rows[0]} events")
    if not 0 <= rows[0] - seen.requests <= connections:  # cut off at the end, a sender may not see its last answer
        faults.append(f"{seen.requests} answers seen, {rows[0]} events kept")
    if since.others:
        faults.append(f"{since.others} answers that do not say accepted")
    return since, rows[0], faults
