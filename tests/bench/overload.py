"""Flood one process and tell what came of it: `python -m tests.bench.overload [--seconds S] [--times N]`.

Exit code 1: a promise was broken, or an answer was none of 200, 202, 429 and 503.
"""

import argparse
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench import machine
from tests.bench.figures import Bound
from tests.bench.flooding import Outcome, Plan, measure
from tests.bench.machinery import run_machinery
from tests.bench.report import wide_console

LEAST_GOODPUT = Bound(0.90)
MOST_GROWTH = Bound(0.05, at_least=False)
MOST_MILLISECONDS = Bound(2000, at_least=False)
MOST_HASTY = Bound(0, at_least=False)
FULL = 0.95
ACCEPTED, REFUSED = (200, 202), (429, 503)

Entry = tuple[str, str, str, float | None, Bound | None]
"""Label, value as text, what else there is to say, value, bound."""


def show(console: Console, outcome: Outcome) -> None:
    """Print it, and say in words what was missed."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, style="dim")
    table.add_column("target", no_wrap=True, style="dim")
    missed = []
    for label, text, more, value, bound in _lines(outcome):
        reached = bound is None or value is None or bound.reached(value)
        colour = "" if bound is None or value is None else "[green]" if reached else "[yellow]"
        table.add_row(label, f"{colour}{text}", more, str(bound) if bound else "")
        if not reached:
            missed.append(f"[yellow]Missed[/]: {label.strip()} {text}, target {bound}")
    plan = outcome.plan
    console.print(
        f"\n[bold]Overload[/]: {plan.times:g} times what one process sustains, for {plan.seconds} s, "
        f"on {plan.connections:,} connections\n",
        highlight=False,
    )
    console.print(table)
    for line in [*missed, *_remarks(outcome)]:
        console.print(line, highlight=False)


def _lines(outcome: Outcome) -> list[Entry]:
    flood, memory = outcome.flood, outcome.megabytes
    refusals = sum(outcome.refusals.values())
    by_status = ", ".join(f"{number:,} × {status}" for status, number in outcome.refusals.items())
    accepted = outcome.accepted / flood.seconds
    return [
        ("sustained/s", f"{outcome.maximum:,.0f}", "256 connections, before the flood", None, None),
        ("sent, of that", f"{outcome.sent:.2f}", f"{outcome.sent * outcome.maximum:,.0f}/s", None, None),
        ("accepted, of that", f"{outcome.goodput:.2f}", f"{accepted:,.0f}/s", outcome.goodput, LEAST_GOODPUT),
        *_times(outcome, "accepted", ACCEPTED, MOST_MILLISECONDS),
        ("refused", f"{refusals:,}", by_status, None, None),
        ("  without Retry-After", f"{outcome.without_retry_after:,}", "", outcome.without_retry_after, MOST_HASTY),
        *_times(outcome, "refused", REFUSED, None),
        ("memory's growth", f"{outcome.growth:+.1%}", f"{memory[0]:.0f} MB at first, {max(memory):.0f} at most",
         outcome.growth, MOST_GROWTH),
        ("broken connections", f"{flood.broken:,}", "", None, None),
        ("answers after 5 s", f"{flood.late:,}", "", None, None),
        ("probes without answer", f"{outcome.unanswered:,}", f"of {len(outcome.probed):,}", None, None),
    ]  # fmt: skip


def _times(outcome: Outcome, what: str, statuses: Collection[int], bound: Bound | None) -> Iterator[Entry]:
    for fresh, where in ((False, "on a kept connection"), (True, "on a new connection")):
        p50, p99 = (outcome.milliseconds(share, statuses, fresh=fresh) for share in (0.5, 0.99))
        if p50 is not None and p99 is not None:
            yield f"  {what} {where}, p99 ms", f"{p99:,.0f}", f"p50 {p50:,.0f}, from when it was due", p99, bound


def _remarks(outcome: Outcome) -> list[str]:
    said = []
    if outcome.flood.unsent:
        share = outcome.flood.unsent / (outcome.flood.unsent + outcome.flood.answers)
        said.append(
            f"{share:.0%} of the timetable was not sent: every connection was waiting for its answer"
            + (", or wrk for its core." if min(outcome.cores_busy[1:], default=0.0) > FULL else ".")
        )
    if outcome.faults:
        return [*said, *(f"[bold red]Broken[/]: {fault}" for fault in outcome.faults)]
    return [*said, f"Each of the {outcome.accepted:,} accepted webhooks is in Postgres."]


def content(outcome: Outcome) -> dict[str, Any]:
    """Give it for a file."""
    return {
        "seconds": outcome.flood.seconds,
        "connections": outcome.plan.connections,
        "times": outcome.plan.times,
        "sustained_per_second": outcome.maximum,
        "sent": outcome.sent,
        "goodput": outcome.goodput,
        "accepted": outcome.accepted,
        "refused": outcome.refusals,
        "kept": outcome.kept,
        "without_retry_after": outcome.without_retry_after,
        "probes": [asdict(answer) for answer in outcome.probed],
        "memory_growth": outcome.growth,
        "megabytes": outcome.megabytes,
        "unsent": outcome.flood.unsent,
        "broken": outcome.flood.broken,
        "late": outcome.flood.late,
        "faults": outcome.faults,
    }


def main() -> int:
    """Run it and report."""
    defaults = Plan()
    parser = argparse.ArgumentParser(prog="python -m tests.bench.overload", description=__doc__)
    parser.add_argument("--seconds", type=int, default=defaults.seconds)
    parser.add_argument("--times", type=float, default=defaults.times, help="the rate that is sustained")
    parser.add_argument("--connections", type=int, default=defaults.connections)
    chosen = parser.parse_args()
    plan = Plan(max(3, chosen.seconds), chosen.times, chosen.connections)
    machine.end_what_we_started()
    machine.keep_off_the_application_core()
    console = wide_console()
    with (
        tempfile.TemporaryDirectory(prefix="opsconnect-bench-") as folder,
        console.status("starting") as status,
        run_machinery(Path(folder)) as machinery,
    ):
        outcome = measure(machinery, Path(folder), plan, status.update)
    show(console, outcome)
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
