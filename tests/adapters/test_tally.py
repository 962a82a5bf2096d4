"""What is added to a tally is counted once, whoever counts, how often and meanwhile."""

import sys
import threading
from collections.abc import Iterator

import pytest

from app.adapters.telemetry import catalog
from app.adapters.telemetry.metrics import IntakeMetrics
from app.adapters.telemetry.tally import MOST_UNCOUNTED, Counted, Tally
from app.adapters.telemetry.trace_context import unrecorded
from app.core.ports.telemetry import Delivery

VALUES = 1_000_000


def test_each_value_is_counted_once_and_in_its_place() -> None:
    tally = Tally(catalog.FLUSH_ROWS)
    bounds = [round(bound) for bound in catalog.FLUSH_ROWS.buckets]
    for value in (*bounds, bounds[-1] + 1):
        tally.add(value)
    expected = Counted([1] * (len(bounds) + 1), sum(bounds) + bounds[-1] + 1)
    assert tally.count() == expected
    assert tally.count() == expected
    assert tally.uncounted == 0


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns after nearly every step."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_nothing_is_lost_or_counted_twice_while_one_adds_and_others_count() -> None:
    tally = Tally(catalog.FLUSH_ROWS)
    done = threading.Event()
    seen: list[list[int]] = [[], []]

    def count(totals: list[int]) -> None:
        while not done.is_set():
            totals.append(sum(tally.count().counts))

    counting = [threading.Thread(target=count, args=(totals,)) for totals in seen]
    for thread in counting:
        thread.start()
    for _ in range(VALUES):
        tally.add(1)
    done.set()
    for thread in counting:
        thread.join()
    assert all(totals == sorted(totals) for totals in seen), "a counter went back"
    assert tally.count().sum == sum(tally.count().counts) == VALUES


def test_requests_that_nobody_asks_about_do_not_fill_the_memory() -> None:
    metrics = IntakeMetrics(version="1")
    for _ in range(MOST_UNCOUNTED):
        metrics.answered(Delivery(unrecorded(), "POST", "/", "", 1, "demo", "hmac", 10, status=202, outcome="accepted"))
        metrics.count()
    tallies = (metrics._bytes, *metrics._answers.values())
    assert [tally.uncounted for tally in tallies] == [0, 0]
    assert [sum(tally.count().counts) for tally in tallies] == [MOST_UNCOUNTED] * 2
