"""Measure intake: `python -m tests.bench [--rounds N] [--seconds S]`. Exit code 1: something was lost or refused."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.infra.embedded import find_redis
from tests.bench import machine, report, rounds
from tests.bench.clock import Machinery
from tests.bench.opsconnect import OFF, ON, SDK, OpsConnect
from tests.bench.rounds import Protocol, Result
from tests.bench.sink import Sink
from tests.bench.variants import Alone, Naive, Variant
from tests.conftest import run_servers


def main() -> int:
    """Run it all and report."""
    chosen = _arguments()
    protocol = Protocol(max(1, chosen.rounds), max(1, chosen.seconds), chosen.patience)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing we started outlives us
    console = report.wide_console()
    machine.keep_off_the_application_core()
    with tempfile.TemporaryDirectory(prefix="opsconnect-bench-") as folder, console.status("starting") as status:
        described = machine.description(find_redis()[0] or "")
        described["fsync ms"] = round(machine.fsync_milliseconds(Path(folder)), 3)
        results = _measure(Path(folder), protocol, chosen.sdk, status.update)
    report.show(console, results, described)
    path = report.write(Path.cwd(), results, protocol, described)
    console.print(f"Everything is in {path.name}", style="dim", highlight=False)
    return 1 if any(result.faults for result in results.values()) else 0


def _measure(folder: Path, protocol: Protocol, sdk: bool, tell: Callable[[str], None]) -> dict[str, Result]:
    with ExitStack() as stack:
        servers = stack.enter_context(contextmanager(run_servers)(folder / "data"))
        sink = Sink()
        stack.callback(sink.stop)
        makers: list[Callable[[], Variant]] = [
            lambda: Alone(folder),
            lambda: Naive(servers, folder, sink),
            lambda: OpsConnect(OFF, servers, folder),
            lambda: OpsConnect(ON, servers, folder, sink),
        ]
        if sdk:
            makers.append(lambda: OpsConnect(SDK, servers, folder, sink, {"OPSCONNECT_SPAN_RECORDER": "sdk"}))
        variants = []
        for make in makers:
            variants.append(make())
            stack.callback(variants[-1].stop)
        machine.check_pinning({variant.name: variant.pid for variant in variants})
        return rounds.run(variants, Machinery(servers, sink), protocol, tell)


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
    parser.add_argument("--sdk", action="store_true", help="measure the OpenTelemetry SDK's spans too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
