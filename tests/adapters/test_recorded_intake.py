"""The recorder on the intake path: it takes at once, tells later, in slices, and never lets a fault of its own out."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.adapters.telemetry.canonical_log import CanonicalLog
from app.adapters.telemetry.intake import SLICE, RecordedIntake
from app.adapters.telemetry.metrics import IntakeMetrics
from app.adapters.telemetry.recorder import NoSpans, Recorder
from app.core.ports.telemetry import Delivery, Trace
from tests.deliveries import a_delivery, a_flush
from tests.logged import logged


class Broken(Recorder):
    """A recorder with a defect."""

    def start(self, method: str, traceparent: str | None, tracestate: str | None, started_ns: int) -> Trace:
        raise RuntimeError("CANARY")

    def record(self, delivery: Delivery) -> None:
        raise RuntimeError("CANARY")


def intake(
    write: Callable[[bytes], object], *, recorder: Recorder | None = None, most_waiting: int = 1000
) -> tuple[RecordedIntake, IntakeMetrics]:
    metrics = IntakeMetrics(version="1")
    return RecordedIntake(recorder or NoSpans(), metrics, CanonicalLog(write), most_waiting=most_waiting), metrics


async def turns_until(done: Callable[[], Any], most: int = 50) -> int:
    """Let the loop turn until something is so, and say how often it took."""
    for turn in range(most):
        if done():
            return turn
        await asyncio.sleep(0)
    raise AssertionError("it never came")


async def test_nothing_is_made_before_the_loop_turns() -> None:
    written: list[bytes] = []
    telemetry, metrics = intake(written.append)
    for _ in range(10):
        telemetry.finish(a_delivery(telemetry))
    assert written == []
    assert b"opsconnect_requests_total{" not in metrics.render()
    await turns_until(lambda: written)
    assert [len(lines.splitlines()) for lines in written] == [10]
    assert b'opsconnect_requests_total{outcome="accepted",source="demo"} 10.0' in metrics.render()


async def test_the_loop_is_never_held_for_long() -> None:
    """Whatever waits is told of in slices, and others have their turn in between."""
    written: list[bytes] = []
    telemetry, _ = intake(written.append)
    for _ in range(5 * SLICE + 1):
        telemetry.finish(a_delivery(telemetry))
    assert await turns_until(lambda: len(written) == 6) >= 5
    assert [len(lines.splitlines()) for lines in written] == [SLICE] * 5 + [1]


async def test_one_turn_is_asked_for_at_a_time() -> None:
    written: list[bytes] = []
    telemetry, _ = intake(written.append)
    for expected in range(1, 4):
        telemetry.finish(a_delivery(telemetry))
        await turns_until(partial_count(written, expected))
    assert [len(lines.splitlines()) for lines in written] == [1, 1, 1]


def partial_count(written: list[bytes], expected: int) -> Callable[[], bool]:
    return lambda: len(written) == expected


async def test_a_flush_is_counted_once() -> None:
    telemetry, metrics = intake(lambda _: None)
    flush = a_flush(3)
    for _ in range(3):
        telemetry.finish(a_delivery(telemetry, flush=flush))
    telemetry.drain()
    assert b"opsconnect_flush_rows_count 1.0" in metrics.render()


def test_what_waits_is_told_of_at_the_exit() -> None:
    """Where no loop runs any more, nothing is lost and nothing raises."""
    written: list[bytes] = []
    telemetry, _ = intake(written.append)
    for _ in range(SLICE + 1):
        telemetry.finish(a_delivery(telemetry))
    telemetry.drain()
    assert sum(len(lines.splitlines()) for lines in written) == SLICE + 1


def test_beyond_the_bound_records_are_dropped_and_counted() -> None:
    written: list[bytes] = []
    telemetry, metrics = intake(written.append, most_waiting=3)
    for _ in range(10):
        telemetry.finish(a_delivery(telemetry))
    telemetry.drain()
    assert len(b"".join(written).splitlines()) == 3
    assert b"opsconnect_records_dropped_total 7.0" in metrics.render()


def test_a_defect_in_one_part_costs_neither_the_request_nor_the_others(tmp_path: Path) -> None:
    written: list[bytes] = []
    telemetry, metrics = intake(written.append, recorder=Broken())
    with logged(tmp_path / "log") as log:
        for _ in range(100):
            telemetry.finish(a_delivery(telemetry, flush=a_flush()))
        telemetry.drain()
        (complaint,) = log.events()
    lines = [json.loads(line) for line in b"".join(written).splitlines()]
    assert len({line["trace_id"] for line in lines}) == 100
    assert b'opsconnect_requests_total{outcome="accepted",source="demo"} 100.0' in metrics.render()
    assert (complaint["event"], complaint["part"], complaint["error"]) == ("telemetry.failed", "start", "RuntimeError")
    assert "CANARY" not in str(complaint)


@pytest.mark.parametrize("record", [{"status": None}, {"ended_ns": "late"}, {"flush": 7}, {"trace": None}])
def test_a_record_that_makes_no_sense_costs_nobody_else(record: dict[str, Any]) -> None:
    written: list[bytes] = []
    telemetry, metrics = intake(written.append)
    telemetry.finish(a_delivery(telemetry, **record))
    telemetry.finish(a_delivery(telemetry))
    telemetry.drain()
    assert b"202" in b"".join(written)
    assert b'opsconnect_requests_total{outcome="accepted",source="demo"}' in metrics.render()


def test_a_log_that_cannot_be_written_raises_nothing() -> None:
    def broken(_: bytes) -> None:
        raise BrokenPipeError

    telemetry, metrics = intake(broken)
    telemetry.finish(a_delivery(telemetry))
    telemetry.drain()
    assert b'opsconnect_requests_total{outcome="accepted",source="demo"} 1.0' in metrics.render()
