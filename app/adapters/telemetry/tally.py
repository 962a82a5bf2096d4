"""A histogram in plain integers, cheap to add to; Prometheus' form of it is made at the scrape."""

from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from app.adapters.telemetry import catalog


class Tally:
    """How often values fell between the bounds of a metric, and their sum."""

    __slots__ = ("_bounds", "_parts", "counts", "entry", "sum")

    def __init__(self, entry: catalog.Metric, parts: int = 1) -> None:
        """Values are integers; `parts` of them make one of the metric's unit."""
        self.entry = entry
        self._parts = parts
        self._bounds = tuple(round(bound * parts) for bound in entry.buckets)
        self.counts = [0] * (len(self._bounds) + 1)
        self.sum = 0

    def add(self, value: int) -> None:
        """Count one value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def add_all(self, other: "Tally") -> None:
        """Count the values that another one of the same metric has counted."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Give each bound with the number of values up to it; the last bound has no end."""
        bounds = [floatToGoString(bound) for bound in (*self.entry.buckets, float("inf"))]  # type: ignore[no-untyped-call]
        return list(zip(bounds, map(float, accumulate(self.counts.copy())), strict=True))

    @property
    def total(self) -> float:
        """What the values come to together, in the metric's unit."""
        return self.sum / self._parts


def family_of(tallies: Mapping[tuple[str, ...], Tally]) -> HistogramMetricFamily:
    """Make the family of a metric, of which there is a tally for each value of its labels."""
    entry = next(iter(tallies.values())).entry
    family = HistogramMetricFamily(entry.name, entry.meaning, labels=entry.labels)
    for labels, tally in tallies.items():
        family.add_metric(labels, tally.buckets(), tally.total)
    return family
