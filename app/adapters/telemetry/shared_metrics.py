"""The metrics of all processes on one port, shown by whichever of them is asked, as if they were one process.

Each shows the others its own numbers once a second; who is asked adds theirs to its own, which are of this moment. What
somebody who was killed had counted is not lost: whoever takes the place counts on from the last numbers shown there.
"""

import asyncio
import contextlib
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from app.adapters.telemetry import catalog

SHOW_SECONDS = 1.0
FRESH_SECONDS = 5.0
"""Older numbers are of somebody who is gone or stands still: the counters still count, the gauges do not."""
LARGEST = frozenset({catalog.BREAKER_OPEN.name, catalog.BUILD_INFO.name, "process_start_time_seconds"})
"""Gauges whose sum would mean nothing: the largest stands for all."""

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""Values by name and labels."""


class Page(Protocol):
    """Where one process shows bytes to the others."""

    @abstractmethod
    def write(self, content: bytes) -> None:
        """Show this from now on."""

    @abstractmethod
    def read(self) -> bytes:
        """Give what is shown, whole; empty: nothing yet."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The numbers of one process at one time."""

    at: float
    families: dict[str, Samples]


class SharedMetrics(Collector):
    """One process's metrics, and those of the others."""

    name = "shared-metrics"

    def __init__(
        self, own: Collector, page: Page, others: Sequence[Page], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`page` shows what whoever was in this place before has counted; the clock is the same for all processes."""
        self._own = own
        self._page = page
        self._others = others
        self._clock = clock
        self._before = Shown(float("-inf"), _read(page).families)
        self._writing = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """Make the families of all processes."""
        return self._with(self._before, *map(_read, self._others))

    def render(self) -> bytes:
        """Give the text of `/metrics`, see `IntakeMetrics.render`. May be called by any thread."""
        self.show()  # whatever is told of outside must not be forgotten when this process is killed
        return generate_latest(self)

    def show(self) -> None:
        """Show the others what was counted in this place until now."""
        with self._writing:
            families = [(family.name, list(_samples(family).items())) for family in self._with(self._before)]
            self._page.write(orjson.dumps((self._clock(), families)))

    async def run(self, stop: asyncio.Event) -> None:
        """Show it once a second until told to stop."""
        while not stop.is_set():
            self.show()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), SHOW_SECONDS)

    def _with(self, *others: Shown) -> Iterator[Metric]:
        oldest = self._clock() - FRESH_SECONDS
        for family in self._own.collect():
            samples = _samples(family)
            for other in others:
                if family.type != "gauge" or other.at >= oldest:
                    _add(samples, other.families.get(family.name, {}), largest=family.name in LARGEST)
            family.samples = [Sample(name, dict(labels), value) for (name, labels), value in samples.items()]
            yield family


def _samples(family: Metric) -> Samples:
    return {(sample.name, tuple(sample.labels.items())): sample.value for sample in family.samples}


def _add(samples: Samples, others: Samples, *, largest: bool) -> None:
    for key, value in others.items():
        known = samples.get(key)
        if known is None:
            samples[key] = value
        else:
            samples[key] = max(known, value) if largest else known + value


def _read(page: Page) -> Shown:
    content = page.read()
    if not content:
        return Shown(float("-inf"), {})
    at, families = orjson.loads(content)
    return Shown(
        at,
        {
            name: {(sample, tuple(map(tuple, labels))): value for (sample, labels), value in samples}
            for name, samples in families
        },
    )
