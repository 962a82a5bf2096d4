"""What came out: a table for people, a file for comparisons."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.figures import LINES, Book, Line, verdicts
from tests.bench.opsconnect import ON
from tests.bench.rounds import MOST_FOREIGN_CORES, USUAL, Result

WIDTH = 100
FULL = 0.95
"""A core that is busier than that holds others up."""


def write(folder: Path, content: Mapping[str, Any]) -> Path:
    """Keep everything in a file named by the moment."""
    now = datetime.now().astimezone()
    path = folder / f"bench-{now:%Y-%m-%d-%H%M%S}.json"
    path.write_text(json.dumps({"at": now.isoformat(timespec="seconds"), **content}, indent=1))
    return path


def content(results: Mapping[str, Result], lines: Sequence[Line] = LINES) -> dict[str, Any]:
    """Give figures and rounds for a file."""
    book = Book(results)
    return {
        "figures": {name: _figures(book, name, lines) for name in results},
        "results": {name: asdict(result) | {"faults": result.faults} for name, result in results.items()},
    }


def _figures(book: Book, name: str, lines: Sequence[Line]) -> dict[str, Any]:
    figures = {}
    for line in lines:
        figure = line.find(book, name)
        if figure is None:
            continue
        bound = line.bounds.get(name)
        figures[line.name] = {
            "median": figure.median,
            "least": min(figure.values),
            "most": max(figure.values),
            "rounds": figure.values,
            "disturbed": figure.disturbed,
        } | ({"target": asdict(bound), "reached": bound.reached(figure.median)} if bound else {})
    return figures


def wide_console() -> Console:
    """Give one on which the table has room, also where the output is no terminal."""
    console = Console()
    return console if console.width >= WIDTH else Console(width=WIDTH)


def show(console: Console, title: str, results: Mapping[str, Result], lines: Sequence[Line] = LINES) -> None:
    """Print the table, and say in words what was missed and what the table does not show."""
    book = Book(results)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, collapse_padding=True)
    table.add_column("", no_wrap=True)
    for name in results:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("target", no_wrap=True, style="dim")
    for section, its_lines in groupby(lines, key=lambda line: line.section):
        table.add_row(f"[bold]{section}[/]")
        for line in its_lines:
            table.add_row(f"  {line.label}", *(_cell(book, line, name) for name in results), _asked(line, results))
        table.add_section()
    console.print(f"\n{title}\n")
    console.print(table)
    rounds = max((len(its_rounds) for result in results.values() for its_rounds in result.rounds.values()), default=0)
    said = f"\nMedians of {_several(rounds, 'round')}, ± how far the farthest is from that."
    console.print(said, style="dim", highlight=False)
    for text in [*_judged(book, lines), *_remarks(book)]:
        console.print(text, highlight=False)


def _cell(book: Book, line: Line, name: str) -> str:
    figure = line.find(book, name)
    if figure is None or not any(figure.values):
        return ""
    text = f"{figure.median:{line.number}}"
    if bound := line.bounds.get(name):
        text = f"[{'green' if bound.reached(figure.median) else 'yellow'}]{text}[/]"
    spread = f"±{figure.farthest:.0%}" if len(figure.values) > 1 and not line.number.endswith("%") else ""
    return f"{text} [dim]{spread:>5}[/]"


def _asked(line: Line, results: Mapping[str, Result]) -> str:
    asked = {name: str(bound) for name, bound in line.bounds.items() if name in results}
    if len(set(asked.values())) <= 1:
        return next(iter(asked.values()), "")
    return "\n".join(text if name == ON else f"{text} {name.removeprefix('tracing ')}" for name, text in asked.items())


def _judged(book: Book, lines: Sequence[Line]) -> list[str]:
    all_of_them = verdicts(book, lines)
    said = [f"{sum(verdict.reached for verdict in all_of_them)} of {len(all_of_them)} targets reached."]
    said += [
        f"[yellow]Missed[/]: {verdict.variant}, {verdict.line.name} {verdict.figure.median:{verdict.line.number}}, "
        f"target {verdict.bound}"
        for verdict in all_of_them
        if not verdict.reached
    ]
    disturbed = sum(verdict.figure.disturbed for verdict in all_of_them)
    if disturbed:
        said.append(
            f"[yellow]Of these verdicts {disturbed} rest on rounds in which others were busy[/]: "
            "believe the ratios by CPU, if anything."
        )
    return said


def _remarks(book: Book) -> list[str]:
    results = book.results.values()
    rounds = [one for result in results for one in result.every_round]
    busy, again = sum(one.disturbed for one in rounds), sum(result.discarded for result in results)
    turns = _several(len(rounds), "turn")
    said = [f"Others used more than {MOST_FOREIGN_CORES} of a core in {busy} of {turns}; {again} done again."]
    full = [name for name in book.results if _others_core(book, name) > FULL]
    if full:
        said.append(
            f"[yellow]The other core was full[/] ({', '.join(full)}): Postgres, Redis, the sink and wrk slowed the "
            "application down, and its CPU says more of it than requests/s."
        )
    kept = {result.name: sum(one.rows for one in result.every_round) for result in results}
    counts = ", ".join(f"{name} {rows:,}" for name, rows in kept.items() if rows)
    faults = [fault for result in results for fault in result.faults]
    if not faults:
        said.append(f"Answered 202, and as many rows in each table: {counts}.")
    said += [_spans(result) for result in results if result.spans_arrived]
    return [*said, *(f"[bold red]Worthless[/]: {fault}" for fault in faults)]


def _several(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _others_core(book: Book, name: str) -> float:
    figure = book.own(name, USUAL, lambda one: min(one.core_busy[1:], default=0.0))
    return figure.median if figure else 0.0


def _spans(result: Result) -> str:
    if not result.spans_expected:
        return f"{result.name}: {result.spans_arrived:,} spans arrived."
    missing = result.spans_expected - result.spans_arrived
    if not missing:
        return f"{result.name}: all {result.spans_arrived:,} spans arrived, four a request and one a commit."
    return (
        f"{result.name}: [yellow]{missing:,} of {result.spans_expected:,} spans did not arrive[/]; "
        f"/metrics counts {result.spans_dropped:,} as dropped (a request turned away counts once)."
    )
