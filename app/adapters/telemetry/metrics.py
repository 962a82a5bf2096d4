"""The metrics of the intake path: plain integers while requests are answered, Prometheus' families at the scrape.

One thread counts, the loop's; a scrape has a thread of its own, and copies what may grow before it looks through it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from app.adapters.telemetry import catalog
from app.adapters.telemetry.readings import AtScrape, Readings
from app.adapters.telemetry.tally import MOST_UNCOUNTED, Counted, Tally, family_of
from app.adapters.telemetry.trace_context import clean
from app.core.ports.event_store import Flush
from app.core.ports.telemetry import Delivery

CONTENT_TYPE = CONTENT_TYPE_LATEST
MOST_KINDS = 5_000
"""Of answers, by source, outcome and status; further ones are `other`: nobody can fill the memory with labels."""
CLASSES = ("accepted", "duplicate", "refused", "failed")
SECOND = 1_000_000_000


class IntakeMetrics(Collector):
    """The metrics of the catalogue, as far as this process goes."""

    def __init__(self, *, version: str, readings: Readings | None = None, others: Sequence[Collector] = ()) -> None:
        """`others`: what else goes on in this process."""
        self._answers: dict[tuple[str, str, int], Tally] = {}
        """How long answers of each kind took, which says as well how many there were."""
        self._others = {name: Tally(catalog.ACK_SECONDS, SECOND) for name in CLASSES}
        self._bytes = Tally(catalog.REQUEST_BYTES)
        self._rows = Tally(catalog.FLUSH_ROWS)
        self._commit = Tally(catalog.FLUSH_COMMIT_SECONDS, SECOND)
        self._records_dropped = 0
        self._collectors = (AtScrape(version, readings or Readings()), ProcessCollector(registry=None), *others)

    def answered(self, delivery: Delivery) -> None:
        """Count one answered request."""
        tally = self._answers.get((delivery.source, delivery.outcome, delivery.status))
        if tally is None:
            tally = self._new_tally(delivery.source, delivery.outcome, delivery.status)
        tally.add(max(0, delivery.ended_ns - delivery.started_ns))
        self._bytes.add(delivery.size)

    def flushed(self, flush: Flush) -> None:
        """Count one flush; call it once for each."""
        if flush.append_started_ns:
            self._rows.add(flush.size)
            self._commit.add(max(flush.append_ended_ns - flush.append_started_ns, 0))

    def count(self) -> None:
        """Count what many requests have left; to be called after some of them."""
        if self._bytes.uncounted >= MOST_UNCOUNTED:
            for tally in (self._bytes, self._rows, self._commit, *self._others.values(), *self._answers.values()):
                tally.count()

    def dropped(self) -> None:
        """Count one record that nothing could be made of."""
        self._records_dropped += 1

    def collect(self) -> Iterator[Metric]:
        """Make the families."""
        yield from self._of_answers()
        yield family_of(catalog.REQUEST_BYTES, {(): self._bytes.count()})
        yield family_of(catalog.FLUSH_ROWS, {(): self._rows.count()})
        yield family_of(catalog.FLUSH_COMMIT_SECONDS, {(): self._commit.count()})
        entry = catalog.RECORDS_DROPPED
        yield CounterMetricFamily(entry.name, entry.meaning, self._records_dropped)
        for collector in self._collectors:
            yield from collector.collect()

    def render(self) -> bytes:
        """Give the text of `/metrics`, whose content type is `CONTENT_TYPE`."""
        return generate_latest(self)

    def _new_tally(self, source: str, outcome: str, status: int) -> Tally:
        kind = _class(outcome, status)  # first, since it raises where the status is none
        if len(self._answers) >= MOST_KINDS:
            return self._others[kind]
        return self._answers.setdefault((source, outcome, status), Tally(catalog.ACK_SECONDS, SECOND))

    def _of_answers(self) -> Iterator[Metric]:
        times: dict[tuple[str, ...], Counted] = {(name,): tally.count() for name, tally in self._others.items()}
        requests = Counter({("other", "other"): sum(sum(counted.counts) for counted in times.values())})
        for (source, outcome, status), tally in self._answers.copy().items():
            counted = tally.count()
            # Cleaned, two of them may have the same labels.
            requests[clean(source, 128) or "unknown", clean(outcome, 64) or "none"] += sum(counted.counts)
            kind = (_class(outcome, status),)
            times[kind] = times[kind].plus(counted)
        entry = catalog.REQUESTS
        family = CounterMetricFamily(entry.name, entry.meaning, labels=entry.labels)
        for labels, count in requests.items():
            if count:
                family.add_metric(labels, count)
        yield family
        yield family_of(catalog.ACK_SECONDS, times)


def _class(outcome: str, status: int) -> str:
    if outcome in {"accepted", "duplicate"}:
        return outcome
    return "refused" if 400 <= status < 500 else "failed"
