"""Prometheus metrics in a registry of their own, counted by one thread and read at the scrape."""

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from app.adapters.telemetry import catalog
from app.adapters.telemetry.trace_context import clean
from app.core.ports.event_store import Flush
from app.core.ports.telemetry import Delivery

CONTENT_TYPE = CONTENT_TYPE_LATEST
MOST_PAIRS = 5_000
"""Of source and outcome; what comes beyond is counted as `other`, so that nobody can fill the memory with labels."""


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


class IntakeMetrics:
    """The metrics of the catalogue."""

    def __init__(self, *, version: str, readings: Readings | None = None) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter(catalog.REQUESTS)
        self._ack = self._histogram(catalog.ACK_SECONDS)
        self._bytes = self._histogram(catalog.REQUEST_BYTES)
        self._rows = self._histogram(catalog.FLUSH_ROWS)
        self._commit = self._histogram(catalog.FLUSH_COMMIT_SECONDS)
        self._records_dropped = self._counter(catalog.RECORDS_DROPPED)
        # labels() costs a lock and a tuple of strings each time; these dicts cost a look.
        self._pairs: dict[tuple[str, str], Counter] = {}
        self._classes = {name: self._ack.labels(name) for name in ("accepted", "duplicate", "refused", "failed")}
        self._registry.register(_AtScrape(version, readings or Readings()))
        ProcessCollector(registry=self._registry)

    def answered(self, delivery: Delivery) -> None:
        """Count one answered request."""
        pair = self._pairs.get((delivery.source, delivery.outcome))
        if pair is None:
            pair = self._new_pair(delivery.source, delivery.outcome)
        pair.inc()
        self._classes[_class(delivery)].observe(max(delivery.ended_ns - delivery.started_ns, 0) / 1e9)
        self._bytes.observe(delivery.size)

    def flushed(self, flush: Flush) -> None:
        """Count one flush; call it once for each."""
        if flush.append_started_ns:
            self._rows.observe(flush.size)
            self._commit.observe(max(flush.append_ended_ns - flush.append_started_ns, 0) / 1e9)

    def dropped(self) -> None:
        """Count one record that nothing could be made of."""
        self._records_dropped.inc()

    def render(self) -> bytes:
        """Give the text of `/metrics`, whose content type is `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def _new_pair(self, source: str, outcome: str) -> Counter:
        if len(self._pairs) >= MOST_PAIRS:
            return self._requests.labels("other", "other")
        child = self._requests.labels(clean(source, 128) or "unknown", clean(outcome, 64) or "none")
        self._pairs[source, outcome] = child
        return child

    def _counter(self, entry: catalog.Metric) -> Counter:
        return Counter(entry.name, entry.meaning, entry.labels, registry=self._registry)

    def _histogram(self, entry: catalog.Metric) -> Histogram:
        return Histogram(entry.name, entry.meaning, entry.labels, buckets=entry.buckets, registry=self._registry)


def _class(delivery: Delivery) -> str:
    if delivery.outcome in {"accepted", "duplicate"}:
        return delivery.outcome
    return "refused" if 400 <= delivery.status < 500 else "failed"


class _AtScrape(Collector):
    """What is read rather than counted. A reading that fails leaves its own metric out, and no other."""

    def __init__(self, version: str, readings: Readings) -> None:
        self._version = version
        self._readings = readings

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Read everything now."""
        for read in (
            self._pools,
            self._locks,
            self._breakers,
            self._spans,
            self._lines,
            self._refused,
            self._refusals,
            self._build,
        ):
            try:
                family = read()
            except Exception as error:  # noqa: BLE001 - whatever a reading raises, the scrape goes on
                structlog.get_logger().warning(
                    catalog.TELEMETRY_FAILED.name, part="metrics", error=type(error).__name__, where=read.__name__
                )
            else:
                if family is not None:
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
        for reason, refusals in self._readings.refusals_dropped().items():
            family.add_metric((reason,), refusals)
        return family

    def _build(self) -> GaugeMetricFamily:
        family = _gauge(catalog.BUILD_INFO)
        family.add_metric((self._version, platform.python_version()), 1)
        return family


def _gauge(entry: catalog.Metric) -> GaugeMetricFamily:
    return GaugeMetricFamily(entry.name, entry.meaning, labels=entry.labels)


def _counter(entry: catalog.Metric) -> CounterMetricFamily:
    return CounterMetricFamily(entry.name, entry.meaning, labels=entry.labels)
