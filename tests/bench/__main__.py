"""Measure intake: `python -m tests.bench [--rounds N] [--seconds S]`. Exit code 1: something was lost or refused."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from app.infra.embedded import find_redis
from tests.bench import machine, report, rounds
from tests.bench.rounds import Protocol, Result
from tests.bench.sink import Sink
from tests.bench.variants import Echo, OpsConnect, Variant
from tests.conftest import run_servers


def main() -> int:
    """Run it all and report."""
    protocol = _protocol()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing we started outlives us
    console = Console()
    machine.keep_off_the_application_core()
    with tempfile.TemporaryDirectory(prefix="opsconnect-bench-") as folder, console.status("starting") as status:
        described = machine.description(find_redis()[0] or "")
        described["fsync ms"] = round(machine.fsync_milliseconds(Path(folder)), 3)
        results = _measure(Path(folder), protocol, status.update)
    report.show(console, results, described)
    path = report.write(Path.cwd(), results, protocol, described)
    console.print(f"Everything is in {path.name}", style="dim", highlight=False)
    return 1 if any(result.faults for result in results.values()) else 0


def _measure(folder: Path, protocol: Protocol, tell: Callable[[str], None]) -> dict[str, Result]:
    with ExitStack() as stack:
        servers = stack.enter_context(contextmanager(run_servers)(folder / "data"))
        sink = Sink()
        stack.callback(sink.stop)
        variants: list[Variant] = []
        for make in (
            Echo,
            lambda: OpsConnect(report.OFF, servers, folder),
            lambda: OpsConnect(report.ON, servers, folder, sink),
        ):
            variant: Variant = make()
            stack.callback(variant.stop)
            variants.append(variant)
        rounds.check_pinning(variants)
        results = rounds.run(variants, servers, protocol, tell)
        variants[-1].stop()  # its last spans are out then
        results[report.ON].spans_arrived = sink.spans()
    return results


def _protocol() -> Protocol:
    defaults = Protocol()
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=defaults.rounds)
    parser.add_argument("--seconds", type=float, default=defaults.seconds, help="of one round")
    parser.add_argument("--repeats", type=int, default=defaults.repeats, help="of a round that others disturb")
    parser.add_argument("--patience", type=float, default=defaults.patience_seconds, help="seconds, for a quiet moment")
    chosen = parser.parse_args()
    return Protocol(
        rounds=max(1, chosen.rounds),
        seconds=chosen.seconds,
        warm_up_seconds=min(defaults.warm_up_seconds, chosen.seconds),
        single_seconds=min(defaults.single_seconds, chosen.seconds),
        repeats=chosen.repeats,
        patience_seconds=chosen.patience,
    )


if __name__ == "__main__":
    sys.exit(main())
