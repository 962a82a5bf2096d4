"""What the metrics show without having counted it: read from others at each scrape."""

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app.adapters.telemetry import catalog


@dataclass(frozen=True, slots=True)
class Readings:
    """What is asked of others at each scrape; each must answer at once."""

    pools: Mapping[str, Callable[[], tuple[int, int]]] = field(default_factory=dict)
    """Connections in use and idle, by the pool's name."""
    lock_outcomes: Callable[[], Mapping[str, int]] = dict
    """Keys asked of the lock since the start, by what it answered."""
    breakers: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    """Whether each is open, by the dependency that is left alone then."""
    spans_dropped: Callable[[], Mapping[str, int]] = dict
    """By reason."""
    lines_dropped: Callable[[], int] = int
    refused_connections: Callable[[], Mapping[str, int]] = dict
    """By code."""
    refusals_dropped: Callable[[], Mapping[str, int]] = dict
    """By reason."""
    suspected_replays: Callable[[], Mapping[str, int]] = dict
    """By source."""
    in_hand: Callable[[], Mapping[str, int]] = dict
    """How many `requests` wait for their answer, and `bytes` of bodies are in memory."""


class AtScrape(Collector):
    """What is read rather than counted. A reading that fails leaves its own metric out, and no other."""

    def __init__(self, version: str, readings: Readings) -> None:
        self._version = version
        self._readings = readings

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Read everything now."""
        for read in (
            self._pools,
            self._in_hand,
            self._locks,
            self._breakers,
            self._spans,
            self._lines,
            self._refused,
            self._refusals,
            self._replays,
            self._build,
        ):
            try:
                family = read()
            except Exception as error:  # noqa: BLE001 - whatever a reading raises, the scrape goes on
                structlog.get_logger().warning(
                    catalog.TELEMETRY_FAILED.name, part="metrics", error=type(error).__name__, where=read.__name__
                )
            else:
                yield family

    def _pools(self) -> GaugeMetricFamily:
        family = _gauge(catalog.POOL_CONNECTIONS)
        for name, usage in self._readings.pools.items():
            for state, connections in zip(("in_use", "idle"), usage(), strict=True):
                family.add_metric((name, state), connections)
        return family

    def _locks(self) -> CounterMetricFamily:
        family = _counter(catalog.LOCKS)
        for outcome, keys in self._readings.lock_outcomes().items():
            family.add_metric((outcome,), keys)
        return family

    def _in_hand(self) -> GaugeMetricFamily:
        family = _gauge(catalog.IN_HAND)
        for what, number in self._readings.in_hand().items():
            family.add_metric((what,), number)
        return family

    def _breakers(self) -> GaugeMetricFamily:
        family = _gauge(catalog.BREAKER_OPEN)
        for dependency, is_open in self._readings.breakers.items():
            family.add_metric((dependency,), float(is_open()))
        return family

    def _spans(self) -> CounterMetricFamily:
        family = _counter(catalog.SPANS_DROPPED)
        for reason, spans in self._readings.spans_dropped().items():
            family.add_metric((reason,), spans)
        return family

    def _lines(self) -> CounterMetricFamily:
        family = _counter(catalog.LINES_DROPPED)
        family.add_metric((), self._readings.lines_dropped())
        return family

    def _refused(self) -> CounterMetricFamily:
        family = _counter(catalog.REFUSED_CONNECTIONS)
        for code, connections in self._readings.refused_connections().items():
            family.add_metric((code,), connections)
        return family

    def _refusals(self) -> CounterMetricFamily:
        family = _counter(catalog.REFUSALS_DROPPED)
        for reason, number in self._readings.refusals_dropped().items():
            family.add_metric((reason,), number)
        return family

    def _replays(self) -> CounterMetricFamily:
        family = _counter(catalog.SUSPECTED_REPLAYS)
        # A copy: a scrape has a thread of its own, and the loop goes on counting.
        for source, events in dict(self._readings.suspected_replays()).items():
            family.add_metric((source,), events)
        return family

    def _build(self) -> GaugeMetricFamily:
        family = _gauge(catalog.BUILD_INFO)
        family.add_metric((self._version, platform.python_version()), 1)
        return family


def _gauge(entry: catalog.Metric) -> GaugeMetricFamily:
    return GaugeMetricFamily(entry.name, entry.meaning, labels=entry.labels)


def _counter(entry: catalog.Metric) -> CounterMetricFamily:
    return CounterMetricFamily(entry.name, entry.meaning, labels=entry.labels)
