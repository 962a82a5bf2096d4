"""What came out: a table for people, a file for comparisons."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.rounds import MOST_FOREIGN_CORES, Protocol, Result, ratios, spread

OFF, ON = "tracing off", "tracing on"
TARGETS = {OFF: 0.30, ON: 0.07}
"""Of L0; with the stock SDK's spans, and without any."""
MOST_MEGABYTES = 150
MOST_SINGLE_MS = 0.5


def write(folder: Path, results: Mapping[str, Result], protocol: Protocol, machine: Mapping[str, Any]) -> Path:
    """Keep everything in a file named by the moment."""
    now = datetime.now().astimezone()
    path = folder / f"bench-{now:%Y-%m-%d-%H%M%S}.json"
    yardstick = results["L0"]
    content = {
        "at": now.isoformat(timespec="seconds"),
        "machine": machine,
        "protocol": asdict(protocol),
        "targets": TARGETS,
        "results": {
            name: asdict(result) | {"of_L0": ratios(result, yardstick), "faults": result.faults}
            for name, result in results.items()
        },
    }
    path.write_text(json.dumps(content, indent=1))
    return path


def show(console: Console, results: Mapping[str, Result], machine: Mapping[str, Any]) -> None:
    """Print the table, and say in words what it does not show."""
    table = Table(
        title="Intake: 1 KB, HMAC, one id each, 64 connections, one process on one core", title_justify="left"
    )
    table.add_column("")
    for name in results:
        table.add_column(name, justify="right")
    for label, cells in _lines(results):
        table.add_row(label, *cells)
    console.print("\n[bold]Intake[/bold]: 1 KB, HMAC, an id each, 64 connections, one process on one core")
    console.print(table)
    console.print("Medians of the rounds, in brackets least and most. µs: CPU time a request.", style="dim")
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), style="dim", highlight=False)
    for line in _remarks(results):
        console.print(line, highlight=False)


def _lines(results: Mapping[str, Result]) -> list[tuple[str, list[str]]]:
    all_of_them = list(results.values())
    yardstick = results["L0"]

    def figures(number: str, of: str) -> list[str]:
        return [_spread([_at(one, of) for one in result.rounds], number) for result in all_of_them]

    return [
        ("requests/s", figures(",.0f", "load.per_second")),
        ("of L0", [_spread(ratios(result, yardstick), ".3f") for result in all_of_them]),
        ("  target", [f"≥ {TARGETS[name]:.2f}" if name in TARGETS else "" for name in results]),
        ("p50 ms", figures(".2f", "load.p50")),
        ("p99 ms", figures(".2f", "load.p99")),
        (
            "p50 ms, one connection",
            [f"{result.single.load.p50:.2f}" if result.single else "" for result in all_of_them],
        ),
        ("application µs", figures(".1f", "application")),
        ("Postgres µs", figures(".1f", "postgres")),
        ("Redis µs", figures(".1f", "redis")),
        ("wrk µs", figures(".1f", "sender")),
        ("busy: core 0", figures(".0%", "core_busy.0")),
        ("busy: core 1", figures(".0%", "core_busy.1") if len(yardstick.rounds[0].core_busy) > 1 else []),
        ("events a commit", figures(".1f", "batch")),
        ("most memory, MB", [f"{result.megabytes:.0f}" for result in all_of_them]),
        ("others' CPU, cores", figures(".2f", "foreign_cores")),
    ]


def _at(one: object, path: str) -> float:
    for name in path.split("."):
        one = one[int(name)] if isinstance(one, tuple) and name.isdecimal() else getattr(one, name)
    assert isinstance(one, int | float)
    return float(one)


def _spread(values: list[float], number: str) -> str:
    median, least, most = spread(values)
    if not most:
        return ""
    return f"{median:{number}}" + (f"\n[dim]({least:{number}}–{most:{number}})[/]" if least != most else "")


def _remarks(results: Mapping[str, Result]) -> list[str]:
    said = []
    for name, target in TARGETS.items():
        result = results[name]
        ratio = spread(ratios(result, results["L0"]))[0]
        verdict = "[green]reached[/]" if ratio >= target else "[yellow]missed[/]"
        said.append(f"{name}: {ratio:.3f} of L0, target {target:.2f}: {verdict}")
        if result.megabytes > MOST_MEGABYTES:
            said.append(f"{name}: [yellow]{result.megabytes:.0f} MB[/], target {MOST_MEGABYTES} MB")
        if result.single and result.single.load.p50 > MOST_SINGLE_MS:
            said.append(
                f"{name}: [yellow]{result.single.load.p50:.2f} ms[/] with one connection, target {MOST_SINGLE_MS} ms"
            )
        if result.spans_arrived:
            said.append(_spans(result))
    for result in results.values():
        noisy = sum(one.disturbed for one in result.rounds)
        if noisy or result.discarded:
            said.append(
                f"[yellow]{result.name}: {noisy} of {len(result.rounds)} rounds kept although others used more than "
                f"{MOST_FOREIGN_CORES} of a core; {result.discarded} done again[/]"
            )
        said += [f"[bold red]worthless: {fault}[/]" for fault in result.faults]
    return said


def _spans(result: Result) -> str:
    missing = result.spans_expected - result.spans_arrived
    if not missing:
        return f"{result.name}: all {result.spans_arrived:,} spans arrived"
    return (
        f"{result.name}: [yellow]{missing:,} of {result.spans_expected:,} spans did not arrive[/]; "
        f"/metrics counts {result.spans_dropped:,} as dropped (a request turned away counts once)"
    )
