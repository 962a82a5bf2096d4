"""Measure intake: `python -m tests.bench [--rounds N] [--seconds S]`. Exit code 1: something was lost or refused."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from app.infra.embedded import find_redis
from tests.bench import flooding, kept, machine, overload, report, rounds
from tests.bench.flooding import Outcome, Plan
from tests.bench.machinery import Machinery, run_machinery
from tests.bench.opsconnect import OFF, ON, SDK, OpsConnect
from tests.bench.rounds import Protocol, Result
from tests.bench.variants import Alone, Naive, Variant

TITLE = "[bold]Intake[/]: 1 KB with its HMAC and an id of its own, one process on a core to itself"


def main() -> int:
    """Run it all and report."""
    chosen = _arguments()
    protocol = Protocol(max(1, chosen.rounds), max(1, chosen.seconds), chosen.within, chosen.patience)
    machine.end_what_we_started()
    machine.keep_off_the_application_core()
    console = report.wide_console()
    results: dict[str, Result] = {}
    kept_results: dict[str, Result] = {}
    flooded: Outcome | None = None
    with (
        tempfile.TemporaryDirectory(prefix="opsconnect-bench-") as name,
        console.status("starting") as status,
        run_machinery(folder := Path(name)) as machinery,
    ):
        described = machine.description(find_redis()[0] or "")
        described["fsync ms"] = round(machine.fsync_milliseconds(folder), 3)
        results = _measure(machinery, folder, protocol, chosen.sdk, status.update)
        if chosen.overload:
            flooded = flooding.measure(machinery, folder, Plan(max(3, chosen.overload)), status.update)
        if chosen.kept:
            kept_results = kept.measure(machinery, folder, chosen.kept, protocol, status.update)
    report.show(console, TITLE, results)
    content = {"machine": described, "protocol": asdict(protocol), **report.content(results)}
    if flooded:
        overload.show(console, flooded)
        content["overload"] = overload.content(flooded)
    if kept_results:
        report.show(
            console, f"[bold]{chosen.kept:,} events kept[/], beside an empty database", kept_results, kept.LINES
        )
        content["kept"] = {"events": chosen.kept, **report.content(kept_results, kept.LINES)}
    path = report.write(Path.cwd(), content)
    console.print(", ".join(f"{name} {value}" for name, value in described.items()), style="dim", highlight=False)
    console.print(f"Everything is in {path.name}", style="dim", highlight=False)
    faults = [fault for result in [*results.values(), *kept_results.values()] for fault in result.faults]
    return 1 if faults or (flooded and flooded.faults) else 0


def _measure(
    machinery: Machinery, folder: Path, protocol: Protocol, sdk: bool, tell: Callable[[str], None]
) -> dict[str, Result]:
    servers, sink = machinery.servers, machinery.sink
    makers: list[Callable[[], Variant]] = [
        lambda: Alone(folder),
        lambda: Naive(servers, folder, sink),
        lambda: OpsConnect(OFF, servers, folder),
        lambda: OpsConnect(ON, servers, folder, sink),
    ]
    if sdk:
        makers.append(lambda: OpsConnect(SDK, servers, folder, sink, {"OPSCONNECT_SPAN_RECORDER": "sdk"}))
    with ExitStack() as stack:
        variants = []
        for make in makers:
            variants.append(make())
            stack.callback(variants[-1].stop)
        machine.check_pinning({variant.name: variant.pid for variant in variants})
        return rounds.run(variants, machinery, protocol, protocol.courses, tell)


def _arguments() -> argparse.Namespace:
    defaults = Protocol()
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=defaults.rounds)
    parser.add_argument("--seconds", type=int, default=defaults.seconds, help="of one round on 64 connections")
    parser.add_argument(
        "--patience",
        type=float,
        default=defaults.patience_seconds,
        help="seconds for quiet moments and repeated rounds",
    )
    parser.add_argument(
        "--within", type=float, default=defaults.within_seconds, help="seconds, after which no further round is begun"
    )
    parser.add_argument("--sdk", action="store_true", help="measure the OpenTelemetry SDK's spans too")
    parser.add_argument("--overload", type=int, default=0, metavar="SECONDS", help="flood one process for so long")
    parser.add_argument("--kept", type=int, default=0, metavar="EVENTS", help="measure with so many kept, too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
