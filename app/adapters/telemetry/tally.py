"""A histogram in plain integers, cheap to add to; Prometheus' form of it is made at the scrape.

A value costs one append to a list. Lists are counted now and then, all at once, by whoever adds and by whoever reads: a
lock keeps the two apart.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import accumulate
from threading import Lock
from typing import NamedTuple

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from app.adapters.telemetry import catalog

MOST_UNCOUNTED = 4096


class Counted(NamedTuple):
    """What a tally came to."""

    counts: list[int]
    """How many values fell between the bounds of the metric; the last bound has no end."""
    sum: float
    """What the values come to together, in the metric's unit."""

    def plus(self, other: "Counted") -> "Counted":
        """Add another tally of the same metric."""
        counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        return Counted(counts, self.sum + other.sum)


class Tally:
    """How often values fell between the bounds of a metric, and their sum. One thread adds, any may count."""

    __slots__ = ("_counts", "_lock", "_parts", "_place", "_sum", "_uncounted", "add")

    def __init__(self, entry: catalog.Metric, parts: int = 1) -> None:
        """Values are integers; `parts` of them make one of the metric's unit."""
        self._parts = parts
        self._place = partial(bisect_left, tuple(round(bound * parts) for bound in entry.buckets))
        self._counts = [0] * (len(entry.buckets) + 1)
        self._sum = 0
        self._lock = Lock()
        self._uncounted: list[int] = []
        self.add = self._uncounted.append
        """Take one value."""

    @property
    def uncounted(self) -> int:
        """How many values wait to be counted."""
        return len(self._uncounted)

    def count(self) -> Counted:
        """Count what was added."""
        with self._lock:
            values = self._uncounted.copy()
            del self._uncounted[: len(values)]  # not all: more may have been added meanwhile
            for place, number in Counter(map(self._place, values)).items():
                self._counts[place] += number
            self._sum += sum(values)
            return Counted(self._counts.copy(), self._sum / self._parts)


def family_of(entry: catalog.Metric, tallies: Mapping[tuple[str, ...], Counted]) -> HistogramMetricFamily:
    """Make the family of a metric, of which there is a tally for each value of its labels."""
    bounds = [floatToGoString(bound) for bound in (*entry.buckets, float("inf"))]  # type: ignore[no-untyped-call]
    family = HistogramMetricFamily(entry.name, entry.meaning, labels=entry.labels)
    for labels, counted in tallies.items():
        up_to = map(float, accumulate(counted.counts))
        family.add_metric(labels, list(zip(bounds, up_to, strict=True)), counted.sum)
    return family
