"""What came out: tables for people, content for a file."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.figures import Bound, Figure
from tests.bench.jobs.turns import Results, Turn
from tests.bench.rounds import MOST_FOREIGN_CORES

Read = Callable[[Turn], float]


class Line(NamedTuple):
    """One line of a table."""

    label: str
    number: str
    """The format."""
    find: Callable[[Results, str], Figure | None]
    bounds: Mapping[str, Bound]
    """By contender."""


def own(read: Read) -> Callable[[Results, str], Figure | None]:
    """Find a figure of the contender itself, in the turns that nobody disturbed if there are any."""

    def find(results: Results, name: str) -> Figure | None:
        turns = results[name].turns
        quiet = [one for one in turns if not one.disturbed]
        values = tuple(read(one) for one in quiet or turns)
        return Figure(values, not quiet) if any(values) else None

    return find


def over(yardsticks: Callable[[Results, str], Sequence[str]], read: Read) -> Callable[[Results, str], Figure | None]:
    """Divide by the best of the yardsticks in the same round."""

    def find(results: Results, name: str) -> Figure | None:
        others = [results[other].turns for other in yardsticks(results, name)]
        if not others:
            return None
        rounds = list(zip(results[name].turns, *others, strict=True))
        quiet = [turns for turns in rounds if not any(one.disturbed for one in turns)]
        return Figure(tuple(read(own) / max(map(read, rest)) for own, *rest in quiet or rounds), not quiet)

    return find


def peers(results: Results, name: str) -> Sequence[str]:
    """Give the others, unless it is one of them."""
    return [] if results[name].other else [other for other, result in results.items() if result.other]


def per_second(turn: Turn) -> float:
    """Jobs a second."""
    return turn.per_second


def per_cpu_second(turn: Turn) -> float:
    """Jobs a second of the worker's CPU: the rate on a core that is never kept waiting."""
    return 1e6 / turn.application


def per_cpu_second_of_all(turn: Turn) -> float:
    """Jobs a second of CPU, wherever it is used."""
    return 1e6 / (turn.application + turn.postgres + turn.redis)


def lines(bounds: Mapping[str, Bound], title: str, yardsticks: Callable[[Results, str], Sequence[str]]) -> list[Line]:
    """Give the lines of a table whose ratios are to these yardsticks."""
    return [
        Line("jobs/s", ",.0f", own(per_second), {}),
        Line(f"÷ {title}", ".2f", over(yardsticks, per_second), bounds),
        Line(f"÷ {title} by CPU", ".2f", over(yardsticks, per_cpu_second), {}),
        Line(f"÷ {title} by all CPU", ".2f", over(yardsticks, per_cpu_second_of_all), {}),
        Line("worker µs", ",.0f", own(lambda one: one.application), {}),
        Line("Postgres µs", ",.0f", own(lambda one: one.postgres), {}),
        Line("Redis µs", ",.0f", own(lambda one: one.redis if one.redis >= 1 else 0.0), {}),
        Line("worker's core in use", ".0%", own(lambda one: one.core_busy[0]), {}),
        Line("other core in use", ".0%", own(lambda one: one.core_busy[1] if len(one.core_busy) > 1 else 0.0), {}),
        Line("others' cores", ".2f", own(lambda one: one.foreign_cores), {}),
    ]


def latency_lines(
    p50: Mapping[str, Bound],
    p99: Mapping[str, Bound],
    yardsticks: Callable[[Results, str], Sequence[str]],
    steady: Mapping[str, Bound],
) -> list[Line]:
    """Give the lines of a table of waits; the yardstick over them, so that more is better."""
    return [
        Line("p50 ms", ".1f", own(lambda one: one.p50), p50),
        Line("p99 ms", ".1f", own(lambda one: one.p99), p99),
        Line("p50, none kept ÷ this", ".2f", over(yardsticks, lambda one: 1 / max(one.p50, 0.1)), steady),
        Line("p99, none kept ÷ this", ".2f", over(yardsticks, lambda one: 1 / max(one.p99, 0.1)), steady),
        Line("worker µs an event", ",.0f", own(lambda one: one.application), {}),
        Line("others' cores", ".2f", own(lambda one: one.foreign_cores), {}),
    ]


def show(console: Console, title: str, results: Results, its_lines: Sequence[Line]) -> None:
    """Print the table, and say in words what was missed and what the table does not show."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column("", no_wrap=True)
    for name in results:
        table.add_column(name, justify="right")
    table.add_column("target", style="dim")
    said = []
    for line in its_lines:
        cells = []
        for name in results:
            figure, bound = line.find(results, name), line.bounds.get(name)
            cells.append(cell(figure, line.number, bound))
            if figure and bound and not bound.reached(figure.median):
                said.append(
                    f"[yellow]Missed[/]: {name}, {line.label} {figure.median:{line.number}}, target {bound}"
                    + (", by turns in which others were busy" if figure.disturbed else "")
                )
        table.add_row(line.label, *cells, next(iter({str(bound) for bound in line.bounds.values()}), ""))
    console.print(f"\n{title}\n")
    console.print(table)
    for text in [*said, *remarks(results)]:
        console.print(text, highlight=False)


def cell(figure: Figure | None, number: str, bound: Bound | None) -> str:
    """Write a figure with its spread, coloured where something is asked."""
    if figure is None:
        return ""
    text = f"{figure.median:{number}}"
    if bound:
        text = f"[{'green' if bound.reached(figure.median) else 'yellow'}]{text}[/]"
    spread = f" [dim]±{figure.farthest:.0%}[/]" if len(figure.values) > 1 and not number.endswith("%") else ""
    return f"{text}{spread}"


def remarks(results: Results) -> list[str]:
    """Say how far the figures can be believed."""
    turns = [one for result in results.values() for one in result.turns]
    busy, again = sum(one.disturbed for one in turns), sum(result.discarded for result in results.values())
    said = [
        f"Others used more than {MOST_FOREIGN_CORES} of a core in {busy} of {len(turns)} turns; {again} taken again."
    ]
    faults = [fault for one in turns for fault in one.faults]
    if not faults:
        said.append(f"Recorded as done: all {sum(one.jobs for one in turns):,} jobs, each once.")
    return [*said, *(f"[bold red]Worthless[/]: {fault}" for fault in faults)]


def content(results: Results, its_lines: Sequence[Line]) -> dict[str, Any]:
    """Give figures and turns for a file."""
    figures: dict[str, dict[str, Any]] = {}
    for name in results:
        found = {line.label: (line.find(results, name), line.bounds.get(name)) for line in its_lines}
        figures[name] = {
            label: {"median": statistics.median(figure.values), "rounds": figure.values, "disturbed": figure.disturbed}
            | ({"target": asdict(bound), "reached": bound.reached(figure.median)} if bound else {})
            for label, (figure, bound) in found.items()
            if figure
        }
    return {"figures": figures, "turns": {name: asdict(result) for name, result in results.items()}}
