"""The metrics of a worker, by the Prometheus client: a job costs milliseconds where a webhook costs microseconds."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from app.adapters.telemetry import catalog
from app.adapters.telemetry.trace_context import clean
from app.core.ports.job_telemetry import ExecutionRecord

LONGEST_LABEL = 128
M = TypeVar("M", Counter, Histogram)


class Backlog(Protocol):
    """What waits in the database, as it was looked at last."""

    open_jobs: Mapping[str, int]
    """By status."""
    oldest_seconds: float
    """How long the job has waited that is due the longest."""
    inbox: int
    """Events that nobody has planned yet."""


class JobMetrics(Collector):
    """What this worker did, and what it sees waiting."""

    def __init__(self, backlog: Backlog) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._planned = self._counter(catalog.EVENTS_PLANNED)
        self._executions = self._counter(catalog.EXECUTIONS)
        self._steps = self._counter(catalog.STEPS)
        self._seconds = self._histogram(catalog.STEP_SECONDS)
        self._waits = self._histogram(catalog.JOB_WAIT_SECONDS)
        self._children: dict[tuple[object, ...], Counter | Histogram] = {}
        self._backlog = backlog
        self.running: Callable[[], int] = int
        """Jobs in hand; the engine tells, once there is one."""
        self.leases_lost: Callable[[], int] = int

    def planned(self, jobs: int) -> None:
        """Count one planned event."""
        self._child(self._planned, "some" if jobs else "none").inc()

    def executed(self, record: ExecutionRecord) -> None:
        """Count one execution and its tries."""
        self._child(self._executions, record.status.value).inc()
        self._waits.observe(record.job.waited_seconds)
        for step in record.steps:
            connector = clean(step.connector, LONGEST_LABEL) or "unknown"
            self._child(self._steps, connector, step.failed.failure.value if step.failed else "done").inc()
            self._child(self._seconds, connector).observe(max(step.ended_ns - step.started_ns, 0) / 1e9)

    def collect(self) -> Iterator[Family]:
        """Make the families."""
        for family in self._registry.collect():
            # The client adds when each counter began, which none of our others does.
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
        backlog = self._backlog
        yield _gauge(catalog.OPEN_JOBS, {(status,): count for status, count in backlog.open_jobs.items()})
        yield _gauge(catalog.QUEUE_AGE_SECONDS, {(): backlog.oldest_seconds})
        yield _gauge(catalog.INBOX_EVENTS, {(): backlog.inbox})
        yield _gauge(catalog.RUNNING_JOBS, {(): self.running()})
        lost = catalog.LEASES_LOST
        leases = Family(lost.name.removesuffix("_total"), lost.meaning, "counter")
        leases.add_sample(lost.name, {}, self.leases_lost())
        yield leases

    def render(self) -> bytes:
        """Give the text of `/metrics` of a process that is only a worker."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        ProcessCollector(registry=registry)
        return generate_latest(registry)

    def _child(self, parent: M, *labels: str) -> M:
        """Give what counts these labels, without the client's check of them; connectors and outcomes are few."""
        key = (parent, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = parent.labels(*labels)
        return cast("M", child)

    def _counter(self, entry: catalog.Metric) -> Counter:
        return Counter(entry.name, entry.meaning, entry.labels, registry=self._registry)

    def _histogram(self, entry: catalog.Metric) -> Histogram:
        return Histogram(entry.name, entry.meaning, entry.labels, registry=self._registry, buckets=entry.buckets)


def _gauge(entry: catalog.Metric, values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(entry.name, entry.meaning, labels=entry.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
