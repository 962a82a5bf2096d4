"""The one line a webhook request has."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from app.adapters.telemetry import catalog
from app.adapters.telemetry.canonical_log import CanonicalLog, Level
from app.adapters.telemetry.recorder import NoSpans
from app.adapters.telemetry.trace_context import UnrecordedTrace
from app.core.ports.telemetry import Delivery
from tests.deliveries import EVENT_ID, MS, T0, a_flush


def a_record(**changes: Any) -> Delivery:
    trace = NoSpans().start("POST", None, None, T0)
    delivery = Delivery(trace, "POST", "/api/v1/webhooks/demo", "192.0.2.7", T0, source="demo", size=1000)
    delivery.ended_ns, delivery.status, delivery.outcome, delivery.event_id = T0 + 6 * MS, 202, "accepted", EVENT_ID
    for name, value in changes.items():
        setattr(delivery, name, value)
    return delivery


def the_line(delivery: Delivery) -> dict[str, Any]:
    rendered = CanonicalLog(lambda _: None).line(delivery)
    assert rendered is not None
    assert b"\n" not in rendered
    line: dict[str, Any] = json.loads(rendered)
    return line


def test_it_says_what_happened_and_where_the_time_went() -> None:
    delivery = a_record(verify_started_ns=T0, verify_ended_ns=T0 + 12_345, flush=a_flush())
    line = the_line(delivery)
    moment = datetime.fromisoformat(line.pop("timestamp"))
    assert moment == datetime.fromtimestamp((T0 + 6 * MS) / 1e9, UTC)
    assert line == {
        "level": "info",
        "event": "webhook.answered",
        "source": "demo",
        "event_id": EVENT_ID,
        "outcome": "accepted",
        "status": 202,
        "bytes": 1000,
        "verify_ms": 0.012,
        "lock_ms": 1.0,
        "append_ms": 2.0,
        "total_ms": 6.0,
        "trace_id": delivery.trace.trace_id,
        "client": "192.0.2.7",
    }


def test_its_fields_are_those_of_the_catalogue() -> None:
    line = the_line(a_record(verify_started_ns=T0, verify_ended_ns=T0 + 1, flush=a_flush(), detail="why"))
    assert set(line) == {"timestamp", "level", "event", *catalog.WEBHOOK_ANSWERED.fields}


def test_times_that_were_not_spent_are_left_out() -> None:
    known = a_flush(0, append_started_ns=0, append_ended_ns=0)
    line = the_line(a_record(flush=known, status=200, outcome="duplicate"))
    assert {"verify_ms", "append_ms", "detail"} & set(line) == set()
    assert line["lock_ms"] == 1.0


@pytest.mark.parametrize(
    ("status", "level"),
    [(200, "info"), (202, "info"), (401, "warning"), (429, "warning"), (503, "error"), (0, "warning")],
)
def test_its_level_is_that_of_the_answer(status: int, level: str) -> None:
    assert the_line(a_record(status=status))["level"] == level


@pytest.mark.parametrize(
    ("least", "statuses"),
    [("debug", [202, 401, 503]), ("info", [202, 401, 503]), ("warning", [401, 503]), ("error", [503])],
)
def test_lines_below_the_least_level_are_not_made(least: Level, statuses: list[int]) -> None:
    log = CanonicalLog(lambda _: None, level=least)
    assert [status for status in (202, 401, 503) if log.line(a_record(status=status))] == statuses


def test_a_refusal_says_why() -> None:
    line = the_line(
        a_record(status=401, outcome="bad_signature", event_id="", detail="no header X-Signature\n" + "x" * 900)
    )
    assert line["detail"].startswith("no header X-Signature")
    assert len(line["detail"]) == 500


def test_seconds_are_told_apart() -> None:
    """The text of a second is kept for the next line; the next second must not get it."""
    log = CanonicalLog(lambda _: None)
    moments = []
    for ns in (T0 + 999_999_999, T0 + 1_000_000_000, T0, T0 + 1_000):
        rendered = log.line(a_record(ended_ns=ns))
        assert rendered is not None
        moments.append(datetime.fromisoformat(json.loads(rendered)["timestamp"]))
    assert [(moment - moments[2]).total_seconds() for moment in moments] == [0.999999, 1.0, 0.0, 0.000001]


def test_text_that_no_encoding_knows_still_makes_a_line() -> None:
    assert the_line(a_record(source="\udcff", client="\udcff"))["status"] == 202


def test_lines_are_written_at_once() -> None:
    written: list[bytes] = []
    log = CanonicalLog(written.append)
    log.write([b"a", b"b"])
    log.write([])
    assert written == [b"a\nb\n"]


def test_no_secret_of_a_request_reaches_the_line() -> None:
    """A query string, a header that is not what it should be, and what only the sender's own trace knows."""
    delivery = a_record(path="/api/v1/webhooks/demo?token=CANARY", flush=a_flush(epoch="CANARY"))
    delivery.trace = UnrecordedTrace("0" * 32, "CANARY")
    assert "CANARY" not in json.dumps(the_line(delivery))
