"""What one verification costs: `python -m tests.bench.verification`. Exit code 1: a verdict was wrong.

Ten providers with a shared secret, each over 1 KB. `signed_by.py` signs as their pages say, and owes nothing to the
code that is measured.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from app.core.catalog.catalogue import find
from app.core.catalog.proof import Credentials, Genuine, NotGenuine, Verifier
from app.core.catalog.verifying import prepare
from tests.bench import machine, report
from tests.bench.figures import Bound
from tests.bench.signed_by import NOW, SAMPLES, Sample

MOST = Bound(60, at_least=False)
MOST_OF = {"stripe": Bound(15, at_least=False), "github": Bound(15, at_least=False)}
BATCHES, BATCH_SECONDS = 15, 0.05


class Cost(NamedTuple):
    """Microseconds of CPU time a verification."""

    genuine: float
    forged: float
    farthest: float
    """How far the farthest batch of genuine ones was from the median, as a share of it."""


def verifier(sample: Sample) -> Verifier | None:
    """Make the code under test ready for a sample; None: it does not know that provider."""
    provider = find(sample.provider)
    return prepare(provider.schemes[0], Credentials((sample.secret.encode(),))) if provider else None


def measure(verify: Verifier, sample: Sample) -> Cost:
    """Time it on the sample and on a forgery of it. Raises `AssertionError` where the verdict is wrong."""
    genuine, forged = sample.request(), sample.request(forged=True)
    assert isinstance(said := verify(genuine, NOW), Genuine), f"{sample.provider}: a genuine request is refused: {said}"
    assert isinstance(verify(forged, NOW), NotGenuine), f"{sample.provider}: a forged request is accepted"
    times = _microseconds(lambda: verify(genuine, NOW))
    middle = statistics.median(times)
    farthest = max(abs(one - middle) for one in times) / middle
    return Cost(middle, statistics.median(_microseconds(lambda: verify(forged, NOW))), farthest)


def _microseconds(call: Callable[[], object]) -> list[float]:
    """Time it in batches; those that find out how large one is warm everything up, and count for nothing."""
    calls, taken = 100, 0.0
    while taken < BATCH_SECONDS:
        calls *= 2
        taken = _batch(call, calls)
    return [_batch(call, calls) / calls * 1e6 for _ in range(BATCHES)]


def _batch(call: Callable[[], object], calls: int) -> float:
    started = time.process_time()  # others may want the core too
    for _ in range(calls):
        call()
    return time.process_time() - started


def show(console: Console, costs: dict[str, Cost | None]) -> None:
    """Print the table, and say what was missed."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column("")
    for title in ("genuine µs", "forged µs", "target"):
        table.add_column(title, justify="right")
    missed = []
    for provider, cost in costs.items():
        bound = MOST_OF.get(provider, MOST)
        if cost is None:
            table.add_row(provider, "[dim]not known[/]", "", f"[dim]{bound}[/]")
            continue
        colour = "green" if bound.reached(cost.genuine) else "yellow"
        genuine = f"[{colour}]{cost.genuine:.1f}[/] [dim]±{cost.farthest:3.0%}[/]"
        table.add_row(provider, genuine, f"{cost.forged:.1f}", f"[dim]{bound}[/]")
        if not bound.reached(cost.genuine):
            missed.append(f"[yellow]Missed[/]: {provider} {cost.genuine:.1f} µs, target {bound}")
    console.print("\n[bold]One verification[/]: 1 KB, one secret, one core\n")
    console.print(table)
    for line in missed:
        console.print(line, highlight=False)


def main() -> int:
    """Measure and report."""
    argparse.ArgumentParser(prog="python -m tests.bench.verification", description=__doc__).parse_args()
    console = Console()
    costs: dict[str, Cost | None] = {}
    with machine.application_core():
        for sample in SAMPLES:
            verify = verifier(sample)
            try:
                costs[sample.provider] = verify and measure(verify, sample)
            except AssertionError as error:
                console.print(f"[bold red]Wrong[/]: {error}", highlight=False)
                return 1
    show(console, costs)
    figures = {provider: cost and cost._asdict() for provider, cost in costs.items()}
    path = report.write(Path.cwd(), {"machine": machine.description(""), "verification_microseconds": figures})
    console.print(f"Everything is in {path.name}", style="dim", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
