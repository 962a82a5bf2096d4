"""Measure jobs: `python -m tests.bench.jobs [--rounds N] [--jobs N]`. Exit code 1: a job was lost or ran twice."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from app.infra.embedded import find_redis
from tests.bench import machine
from tests.bench.figures import Bound
from tests.bench.jobs import environment, peers, report, turns
from tests.bench.jobs.contender import Contender
from tests.bench.jobs.opsconnect import OpsConnect
from tests.bench.machinery import run_machinery
from tests.bench.report import wide_console, write
from tests.bench.rounds import Patience

JOBS, EVENTS, SPANS = "OpsConnect, jobs", "OpsConnect, events", "OpsConnect, events and spans"
ASKED = Bound(3, later=5)
TITLE = "[bold]No-op jobs[/]: one worker process on a core to itself, until the last one is recorded as done"


def main() -> int:
    """Run it all and report."""
    chosen = _arguments()
    python = environment.peers_python()
    machine.end_what_we_started()
    machine.keep_off_the_application_core()
    console = wide_console()
    patience = Patience(chosen.patience)
    with (
        tempfile.TemporaryDirectory(prefix="opsconnect-bench-") as name,
        console.status("starting") as status,
        run_machinery(folder := Path(name)) as machinery,
    ):
        described = machine.description(find_redis()[0] or "") | environment.versions(python)
        described["fsync ms"] = round(machine.fsync_milliseconds(folder), 3)
        contenders: list[Contender] = [
            OpsConnect(JOBS, "jobs", machinery, folder),
            OpsConnect(EVENTS, "events", machinery, folder),
            OpsConnect(SPANS, "events", machinery, folder, spans=True),
        ]
        others = peers.all_ways if chosen.all_ways else peers.usual
        contenders += others(machinery, folder, python)
        if chosen.only:
            contenders = [one for one in contenders if chosen.only in one.name]
        results = turns.run(contenders, chosen.jobs, chosen.rounds, patience, status.update)
    its_lines = report.lines({JOBS: ASKED, EVENTS: ASKED}, "the best other", report.peers)
    report.show(console, TITLE, results, its_lines)
    content: dict[str, Any] = {"machine": described, "jobs": report.content(results, its_lines)}
    path = write(Path.cwd(), content)
    console.print(", ".join(f"{name} {value}" for name, value in described.items()), style="dim", highlight=False)
    console.print(f"Everything is in {path.name}", style="dim", highlight=False)
    return 1 if any(one.faults for result in results.values() for one in result.turns) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.jobs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=5_000, help="in a turn")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds for quiet moments and repeated turns")
    parser.add_argument("--all-ways", action="store_true", help="measure the others in all the ways that were tried")
    parser.add_argument("--only", default="", metavar="NAME", help="only those whose name has this in it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
