"""From rounds to figures: medians with their spread, ratios within a round, and what is asked of them."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.opsconnect import OFF, ON, SDK
from tests.bench.rounds import MANY, ONE, USUAL, Result, Round
from tests.bench.variants import L0, NAIVE

Read = Callable[[Round], float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a variant, with a value for each round that counts."""

    values: tuple[float, ...]
    disturbed: bool = False
    """Others used the machine in every round, so these are all of them."""

    @property
    def median(self) -> float:
        """What is said and judged."""
        return statistics.median(self.values)

    @property
    def farthest(self) -> float:
        """How far the farthest value is from the median, as a share of it."""
        middle = self.median
        return max(abs(value - middle) for value in self.values) / middle if middle else 0.0


@dataclass(frozen=True, slots=True)
class Bound:
    """What is asked of a figure."""

    limit: float
    at_least: bool = True
    later: float | None = None
    """What is asked once this is reached."""

    def reached(self, value: float) -> bool:
        """Judge."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        """Put it in words; in brackets what is asked later."""
        then = f" ({_plain(self.later)})" if self.later is not None else ""
        return f"{'≥' if self.at_least else '≤'} {_plain(self.limit)}{then}"


def _plain(limit: float) -> str:
    return f"{limit:.2f}" if limit % 1 else f"{limit:.0f}"


class Book:
    """Everybody's rounds. Those in which others were busy count only where there are no others."""

    def __init__(self, results: Mapping[str, Result]) -> None:
        self.results = results

    def own(self, name: str, connections: int, read: Read) -> Figure | None:
        """Read a figure from each round of a variant."""
        rounds = self.results[name].rounds.get(connections, [])
        quiet = [one for one in rounds if not one.disturbed]
        return Figure(tuple(read(one) for one in quiet or rounds), not quiet) if rounds else None

    def over(self, name: str, yardstick: str, connections: int, read: Read) -> Figure | None:
        """Divide a figure by the yardstick's in the same round."""
        if name == yardstick:
            return None
        rounds, others = (self.results[each].rounds.get(connections, []) for each in (name, yardstick))
        # Where one of them took no part, or got no answer at all, there is nothing.
        pairs = [pair for pair in zip(rounds, others, strict=False) if read(pair[1])]
        quiet = [pair for pair in pairs if not any(one.disturbed for one in pair)]
        return Figure(tuple(read(one) / read(other) for one, other in quiet or pairs), not quiet) if pairs else None


Find = Callable[[Book, str], Figure | None]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the report."""

    section: str
    label: str
    number: str
    """The format."""
    find: Find
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    """By variant."""

    @property
    def name(self) -> str:
        """Tell it from lines of other sections."""
        return f"{self.section}: {self.label}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was asked of a variant, and what came out."""

    line: Line
    variant: str
    bound: Bound
    figure: Figure

    @property
    def reached(self) -> bool:
        """Judge."""
        return self.bound.reached(self.figure.median)


def verdicts(book: Book, lines: Sequence[Line]) -> list[Verdict]:
    """Judge everything of which something is asked."""
    return [
        Verdict(line, variant, bound, figure)
        for line in lines
        for variant, bound in line.bounds.items()
        if variant in book.results and (figure := line.find(book, variant)) is not None
    ]


def own(connections: int, read: Read) -> Find:
    """Find a figure of the variant itself."""
    return lambda book, name: book.own(name, connections, read)


def cpu(read: Read) -> Find:
    """Find CPU time of a process that a variant may have nothing to do with."""

    def find(book: Book, name: str) -> Figure | None:
        figure = book.own(name, USUAL, read)
        return figure if figure and figure.median >= 1 else None

    return find


def over(yardstick: str, connections: int, read: Read) -> Find:
    """Find it as a share of the yardstick's."""
    return lambda book, name: book.over(name, yardstick, connections, read)


def per_second(one: Round) -> float:
    """Answers a second."""
    return one.load.per_second


def per_cpu_second(one: Round) -> float:
    """Answers a second of the application's CPU: the rate on a core that is never kept waiting."""
    return 1e6 / one.application


def p50(one: Round) -> float:
    """Half of the answers take no more milliseconds."""
    return one.load.p50


def p99(one: Round) -> float:
    """Of a hundred answers, 99 take no more milliseconds."""
    return one.load.p99


def _most_memory(book: Book, name: str) -> Figure | None:
    return Figure((book.results[name].megabytes,))


def _at_most(limit: float) -> Bound:
    return Bound(limit, at_least=False)


_CPU = "CPU µs a request"
_ALL = "All in all"

LINES = (
    Line("64 connections", "requests/s", ",.0f", own(USUAL, per_second)),
    Line(
        "64 connections", "of L0", ".3f", over(L0, USUAL, per_second),
        {ON: Bound(0.50, later=0.70), OFF: Bound(0.30), SDK: Bound(0.07)},
    ),
    Line("64 connections", "of L0 by CPU", ".3f", over(L0, USUAL, per_cpu_second)),
    Line("64 connections", "÷ naive", ".1f", over(NAIVE, USUAL, per_second), {ON: Bound(40)}),
    Line("64 connections", "p50 ms", ".2f", own(USUAL, p50)),
    Line("64 connections", "p99 ms", ".2f", own(USUAL, p99)),
    Line("64 connections", "p99 ÷ L0's", ".2f", over(L0, USUAL, p99), {ON: _at_most(2.5)}),
    Line("64 connections", "events a commit", ".1f", own(USUAL, lambda one: one.batch)),
    Line(_CPU, "application", ".1f", own(USUAL, lambda one: one.application)),
    Line(_CPU, "application ÷ L0's", ".2f", over(L0, USUAL, lambda one: one.application), {ON: _at_most(1.7)}),
    Line(_CPU, "Postgres", ".1f", cpu(lambda one: one.postgres)),
    Line(_CPU, "Redis", ".1f", cpu(lambda one: one.redis)),
    Line(_CPU, "sink", ".1f", cpu(lambda one: one.sink)),
    Line(_CPU, "wrk", ".1f", own(USUAL, lambda one: one.sender)),
    Line("256 connections", "requests/s", ",.0f", own(MANY, per_second)),
    Line("256 connections", "of L0", ".3f", over(L0, MANY, per_second), {ON: Bound(0.70)}),
    Line("256 connections", "of L0 by CPU", ".3f", over(L0, MANY, per_cpu_second)),
    Line("256 connections", "p99 ms", ".2f", own(MANY, p99)),
    Line("One connection", "p50 ms", ".2f", own(ONE, p50), {ON: _at_most(0.5), OFF: _at_most(0.5)}),
    Line(_ALL, "most memory MB", ".0f", _most_memory, {ON: _at_most(150), OFF: _at_most(150)}),
    Line(_ALL, "core 0 in use", ".0%", own(USUAL, lambda one: one.core_busy[0])),
    Line(_ALL, "core 1 in use", ".0%", own(USUAL, lambda one: one.core_busy[1] if len(one.core_busy) > 1 else 0.0)),
    Line(_ALL, "others' cores", ".2f", own(USUAL, lambda one: one.foreign_cores)),
)  # fmt: skip
