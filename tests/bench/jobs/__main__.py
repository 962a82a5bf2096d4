"""Measure jobs: `python -m tests.bench.jobs [--rounds N] [--jobs N]`. Exit code 1: a job was lost or ran twice."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from app.infra.embedded import find_redis
from tests.bench import machine
from tests.bench.figures import Bound
from tests.bench.jobs import environment, kept, latency, peers, report, turns
from tests.bench.jobs.contender import Contender
from tests.bench.jobs.opsconnect import OpsConnect
from tests.bench.machinery import Machinery, run_machinery
from tests.bench.report import wide_console, write
from tests.bench.rounds import Patience

JOBS, EVENTS, SPANS = "jobs", "events", "events, spans"
ASKED = Bound(3, later=5)
EMPTY, FULL = "none kept", "kept"
STEADY = {FULL: Bound(0.90)}
P50, P99 = (dict.fromkeys((EMPTY, FULL), Bound(most, at_least=False)) for most in (10, 50))

Part = tuple[str, turns.Results, Sequence[report.Line]]


def main() -> int:
    """Run it all and report."""
    chosen = _arguments()
    python = environment.peers_python()
    machine.end_what_we_started()
    machine.keep_off_the_application_core()
    console = wide_console()
    with (
        tempfile.TemporaryDirectory(prefix="opsconnect-bench-") as name,
        console.status("starting") as status,
        run_machinery(folder := Path(name)) as machinery,
    ):
        described = machine.description(find_redis()[0] or "") | environment.versions(python)
        described["fsync ms"] = round(machine.fsync_milliseconds(folder), 3)
        parts: dict[str, Part] = {}
        if "queues" in chosen.parts:
            parts["queues"] = _queues(machinery, folder, python, chosen, status.update)
        if {"latency", "kept"} & set(chosen.parts):
            parts |= _alone(machinery, folder, chosen, status.update)
    for title, results, lines in parts.values():
        report.show(console, title, results, lines)
    content: dict[str, Any] = {"machine": described}
    content |= {part: report.content(results, lines) for part, (_, results, lines) in parts.items()}
    path = write(Path.cwd(), content)
    console.print(", ".join(f"{name} {value}" for name, value in described.items()), style="dim", highlight=False)
    console.print(f"Everything is in {path.name}", style="dim", highlight=False)
    every = [one for _, results, _ in parts.values() for result in results.values() for one in result.turns]
    return 1 if any(one.faults for one in every) else 0


def _queues(
    machinery: Machinery, folder: Path, python: Path, chosen: argparse.Namespace, tell: Callable[[str], None]
) -> Part:
    """Measure no-op jobs beside the other queues."""
    contenders: list[Contender] = [
        OpsConnect(JOBS, "jobs", machinery, folder),
        OpsConnect(EVENTS, "events", machinery, folder),
        OpsConnect(SPANS, "events", machinery, folder, spans=True),
        *(peers.all_ways if chosen.all_ways else peers.usual)(machinery, folder, python),
    ]
    take = partial(turns.turn, jobs=chosen.jobs)
    with ExitStack() as stack:
        for contender in contenders:
            stack.callback(contender.close)
        results = turns.run(contenders, take, chosen.rounds, Patience(chosen.patience), tell)
    lines = report.lines({JOBS: ASKED, EVENTS: ASKED}, "best other", report.peers)
    return f"[bold]No-op jobs[/]: {chosen.jobs:,} before one worker process, until the last is recorded", results, lines


def _alone(
    machinery: Machinery, folder: Path, chosen: argparse.Namespace, tell: Callable[[str], None]
) -> dict[str, Part]:
    """Measure OpsConnect with and without finished jobs that are kept: how long an event waits, and jobs a second."""
    parts: dict[str, Part] = {}
    contenders = [OpsConnect(EMPTY, "events", machinery, folder)]
    if chosen.kept:
        contenders.append(kept.Full(FULL, machinery, folder, chosen.kept, tell))
    many = f"{chosen.kept:,} finished jobs kept, and none"
    if "latency" in chosen.parts:
        random = Random(chosen.seed)
        take_latency = partial(latency.turn, seconds=chosen.seconds, random=random)
        results = turns.run(contenders, take_latency, chosen.rounds, Patience(chosen.patience), tell)
        title = f"[bold]From the 202 to the step[/]: {latency.PER_SECOND} events/s at random moments; {many}"
        parts["latency"] = (title, results, report.latency_lines(P50, P99, _empty, STEADY))
    if "kept" in chosen.parts and chosen.kept:
        take = partial(turns.turn, jobs=chosen.jobs)
        results = turns.run(contenders, take, chosen.rounds, Patience(chosen.patience), tell)
        parts["kept"] = (f"[bold]Events run[/]: {many}", results, report.lines(STEADY, EMPTY, _empty))
    for contender in contenders:
        contender.close()
    return parts


def _empty(_: turns.Results, name: str) -> Sequence[str]:
    return [] if name == EMPTY else [EMPTY]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.jobs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=5_000, help="in a turn")
    parser.add_argument("--kept", type=int, default=1_000_000, metavar="JOBS", help="measure with so many kept, too")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a turn at 50 events a second")
    parser.add_argument("--seed", type=int, default=1, help="of the moments at which events are sent")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds for quiet moments and repeated turns")
    parser.add_argument("--all-ways", action="store_true", help="measure the others in all the ways that were tried")
    parser.add_argument("parts", nargs="*", metavar="PART", help="queues, latency, kept; by default all")
    chosen = parser.parse_args()
    chosen.parts = chosen.parts or ["queues", "latency", "kept"]
    if unknown := set(chosen.parts) - {"queues", "latency", "kept"}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
