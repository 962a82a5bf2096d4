"""What the figures rest on: whose CPU time it was, which rounds count, and that the naive design is a fair rival."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.bench.figures import Book
from tests.bench.load import BODY, PATH, SECRET, Load
from tests.bench.machine import Stranger, used_by
from tests.bench.rounds import USUAL, Result, Round
from tests.bench.sink import Sink
from tests.bench.variants import Naive
from tests.conftest import Servers
from tests.e2e.sender import signed


def a_round(per_second: float, foreign: float = 0.0) -> Round:
    seen = Load(USUAL, int(per_second * 10), 10.0, 0, 0, 1.0, 2.0, 3.0)
    return Round(seen, 20.0, 0.0, 0.0, 0.0, 10.0, (1.0, 0.5), foreign, 0.0, 0.0, 0, ())


def test_who_ended_between_two_looks_is_counted_for_that_time_only() -> None:
    """A shell waits for a compiler that had used 30 s before; the shell's own end is waited for by init."""
    before = {1: Stranger(0, 5.0, 100.0), 7: Stranger(1, 2.0, 0.0), 8: Stranger(7, 30.0, 0.0)}
    compiler_ended = {1: Stranger(0, 5.0, 100.0), 7: Stranger(1, 2.0, 30.4)}
    both_ended = {1: Stranger(0, 5.0, 132.5)}
    assert used_by(before, compiler_ended) == pytest.approx(0.4)
    assert used_by(before, both_ended) == pytest.approx(0.5)


def test_who_began_between_two_looks_is_counted() -> None:
    assert used_by({}, {9: Stranger(1, 0.7, 0.2)}) == pytest.approx(0.9)


def test_a_disturbed_round_counts_for_neither_side_of_a_ratio() -> None:
    """Its neighbour in the same round goes with it, quiet as it was."""
    yardstick = Result("L0", {USUAL: [a_round(1000), a_round(200, foreign=0.5), a_round(1000)]})
    variant = Result("fast", {USUAL: [a_round(500), a_round(500), a_round(700)]})
    book = Book({"L0": yardstick, "fast": variant})
    ratio = book.over("fast", "L0", USUAL, lambda one: one.load.per_second)
    own = book.own("fast", USUAL, lambda one: one.load.per_second)
    assert ratio is not None
    assert own is not None
    assert ratio.values == pytest.approx((0.5, 0.7))
    assert own.values == pytest.approx((500, 500, 700))


def test_where_every_round_was_disturbed_the_figure_says_so() -> None:
    book = Book({"L0": Result("L0", {USUAL: [a_round(100, foreign=0.5)]})})
    figure = book.own("L0", USUAL, lambda one: one.load.per_second)
    assert figure is not None
    assert figure.disturbed


@pytest.fixture
def naive(servers: Servers, tmp_path: Path) -> Iterator[Naive]:
    """The rival, serving."""
    sink = Sink()
    try:
        variant = Naive(servers, tmp_path, sink)
        yield variant
        variant.stop()
    finally:
        sink.stop()


def test_the_naive_design_keeps_the_same_promise(naive: Naive) -> None:
    """Accepted once, a duplicate the second time with the first one's id, a forged one refused; four spans each."""

    def send(signature: str) -> httpx.Response:
        headers = {"X-Signature": signature, "X-Delivery-Id": "d-1", "Content-Type": "application/json"}
        return httpx.post(f"http://127.0.0.1:{naive.port}{PATH}", content=BODY, headers=headers)

    first, second = send(signed(SECRET, BODY)), send(signed(SECRET, BODY))
    assert (first.status_code, first.json()["status"]) == (202, "accepted")
    assert (second.status_code, second.json()) == (200, {"status": "duplicate", "event_id": first.json()["event_id"]})
    assert send(signed("another secret", BODY)).status_code == 401
    assert naive.rows() == (1,)
    naive.stop()
    assert naive.spans_arrived() == 3 * 4
