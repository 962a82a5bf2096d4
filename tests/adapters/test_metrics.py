"""What Prometheus sees."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from app.adapters.telemetry import catalog
from app.adapters.telemetry.job_records import RecordedJobs
from app.adapters.telemetry.metrics import CONTENT_TYPE, MOST_KINDS, IntakeMetrics
from app.adapters.telemetry.readings import Readings
from app.adapters.telemetry.recorder import NoSpans
from app.core.ports.telemetry import Delivery
from tests.adapters.test_job_telemetry import Told
from tests.deliveries import MS, T0, a_flush
from tests.logged import logged

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples_of(content: bytes) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(content.decode())
        for sample in family.samples
    }


def scrape(metrics: IntakeMetrics) -> Samples:
    return samples_of(metrics.render())


def an_answer(source: str = "demo", outcome: str = "accepted", status: int = 202, ms: float = 3) -> Delivery:
    trace = NoSpans().start("POST", None, None, T0)
    delivery = Delivery(trace, "POST", "/api/v1/webhooks/demo", "192.0.2.7", T0, source=source, size=2000)
    delivery.outcome, delivery.status, delivery.ended_ns = outcome, status, T0 + int(ms * MS)
    return delivery


def test_requests_are_counted_by_source_and_outcome() -> None:
    metrics = IntakeMetrics(version="1")
    metrics.answered(an_answer())
    metrics.answered(an_answer())
    metrics.answered(an_answer(outcome="bad_signature", status=401))
    metrics.answered(an_answer(source="", outcome="unknown_source", status=404))
    samples = scrape(metrics)
    name = "opsconnect_requests_total"
    assert samples[name, (("outcome", "accepted"), ("source", "demo"))] == 2
    assert samples[name, (("outcome", "bad_signature"), ("source", "demo"))] == 1
    assert samples[name, (("outcome", "unknown_source"), ("source", "unknown"))] == 1


def test_answers_are_timed_by_class_and_bodies_measured() -> None:
    metrics = IntakeMetrics(version="1")
    metrics.answered(an_answer(ms=3))
    metrics.answered(an_answer(outcome="duplicate", status=200, ms=0.4))
    metrics.answered(an_answer(outcome="body_too_large", status=413))
    metrics.answered(an_answer(outcome="unavailable", status=503, ms=1800))
    metrics.answered(an_answer(outcome="", status=0, ms=-5))
    samples = scrape(metrics)
    counts = {kind: samples["opsconnect_ack_seconds_count", (("class", kind),)] for kind in ("accepted", "duplicate")}
    assert counts == {"accepted": 1, "duplicate": 1}
    assert samples["opsconnect_ack_seconds_bucket", (("class", "accepted"), ("le", "0.002"))] == 0
    assert samples["opsconnect_ack_seconds_bucket", (("class", "accepted"), ("le", "0.004"))] == 1
    assert samples["opsconnect_ack_seconds_bucket", (("class", "duplicate"), ("le", "0.0005"))] == 1
    assert samples["opsconnect_ack_seconds_count", (("class", "refused"),)] == 1
    assert samples["opsconnect_ack_seconds_sum", (("class", "failed"),)] == 1.8
    assert samples["opsconnect_request_bytes_sum", ()] == 10_000


def test_a_flush_counts_its_rows_and_its_commit() -> None:
    metrics = IntakeMetrics(version="1")
    metrics.flushed(a_flush(64, locks={"held": 60, "busy": 4}))
    metrics.flushed(a_flush(0, locks={"marked": 7}, append_started_ns=0, append_ended_ns=0))
    samples = scrape(metrics)
    assert samples["opsconnect_flush_rows_sum", ()] == 64
    assert samples["opsconnect_flush_rows_count", ()] == 1
    assert samples["opsconnect_flush_commit_seconds_sum", ()] == 0.002


def test_others_are_read_at_each_scrape() -> None:
    open_now = False
    in_use = 1
    metrics = IntakeMetrics(
        version="1.2.3",
        readings=Readings(
            pools={"intake": lambda: (in_use, 5)},
            lock_outcomes=lambda: {"held": 60, "busy": 4},
            breakers={"redis": lambda: open_now},
            spans_dropped=lambda: {"queue": 3, "export": 4},
            lines_dropped=lambda: 9,
            refusals_dropped=lambda: {"rate": 7, "queue": 0},
            suspected_replays=lambda: {"hub": 2},
        ),
    )
    first = scrape(metrics)
    assert first["opsconnect_pool_connections", (("pool", "intake"), ("state", "idle"))] == 5
    assert first["opsconnect_spans_dropped_total", (("reason", "queue"),)] == 3
    assert first["opsconnect_locks_total", (("outcome", "held"),)] == 60
    assert first["opsconnect_log_lines_dropped_total", ()] == 9
    assert first["opsconnect_refusals_dropped_total", (("reason", "rate"),)] == 7
    assert first["opsconnect_suspected_replays_total", (("source", "hub"),)] == 2
    open_now, in_use = True, 6
    second = scrape(metrics)
    assert (
        first["opsconnect_breaker_open", (("dependency", "redis"),)],
        second["opsconnect_breaker_open", (("dependency", "redis"),)],
    ) == (0, 1)
    assert second["opsconnect_pool_connections", (("pool", "intake"), ("state", "in_use"))] == 6
    assert any(name == "opsconnect_build_info" and ("version", "1.2.3") in labels for name, labels in second)


def test_a_reading_that_fails_costs_only_its_own_metric(tmp_path: Path) -> None:
    def fail() -> bool:
        raise RuntimeError("CANARY")

    with logged(tmp_path / "log") as log:
        samples = scrape(IntakeMetrics(version="1", readings=Readings(breakers={"redis": fail})))
        (line,) = log.events("telemetry.failed")
    assert ("opsconnect_breaker_open", (("dependency", "redis"),)) not in samples
    assert any(name == "opsconnect_build_info" for name, _ in samples)
    assert "CANARY" not in str(line)


def test_nobody_can_fill_the_memory_with_labels() -> None:
    metrics = IntakeMetrics(version="1")
    for number in range(MOST_KINDS + 100):
        metrics.answered(an_answer(source=f"s{number}"))
    samples = scrape(metrics)
    assert sum(name == "opsconnect_requests_total" for name, _ in samples) == MOST_KINDS + 1
    assert samples["opsconnect_requests_total", (("outcome", "other"), ("source", "other"))] == 100


def test_what_is_shown_is_what_the_catalogue_says() -> None:
    """Names, types, labels and meanings; beside them only what the process collector tells."""
    told = Told()
    told.executed(RecordedJobs(None, told.metrics, told.log))
    told.metrics.planned(1)
    readings = Readings(breakers={"redis": lambda: False}, spans_dropped=lambda: {"queue": 1})
    metrics = IntakeMetrics(version="1", readings=readings, others=(told.metrics,))
    metrics.answered(an_answer())
    metrics.flushed(a_flush())
    families = {
        family.name: family
        for family in text_string_to_metric_families(metrics.render().decode())
        if not family.name.startswith("process_")
    }
    assert set(families) == {entry.name.removesuffix("_total") for entry in catalog.METRICS}
    for entry in catalog.METRICS:
        family = families[entry.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (entry.type, entry.meaning)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(entry.labels)


def test_the_process_is_measured_too() -> None:
    samples = scrape(IntakeMetrics(version="1"))
    assert samples["process_resident_memory_bytes", ()] > 1e6
    assert samples["process_open_fds", ()] > 0
    assert CONTENT_TYPE.startswith("text/plain")


def test_no_secret_of_a_request_reaches_a_metric() -> None:
    metrics = IntakeMetrics(version="1")
    delivery = an_answer(source="", outcome="unknown_source", status=404)
    delivery.path, delivery.detail, delivery.client = "/api/v1/webhooks/CANARY?CANARY", "CANARY", "CANARY"
    metrics.answered(delivery)
    assert b"CANARY" not in metrics.render()
