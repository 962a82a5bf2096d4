"""What the figures rest on: whose CPU time it was, which rounds count, and that the naive design is a fair rival."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.bench.figures import Book
from tests.bench.kept import Full
from tests.bench.load import BODY, PATH, SECRET, Load
from tests.bench.machine import Stranger, used_by
from tests.bench.machinery import Machinery
from tests.bench.rounds import USUAL, Result, Round
from tests.bench.sink import Sink
from tests.bench.variants import Naive
from tests.conftest import Servers
from tests.e2e.api import CLIENT
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
        return CLIENT.post(f"http://127.0.0.1:{naive.port}{PATH}", content=BODY, headers=headers)

    first, second = send(signed(SECRET, BODY)), send(signed(SECRET, BODY))
    assert (first.status_code, first.json()["status"]) == (202, "accepted")
    assert (second.status_code, second.json()) == (200, {"status": "duplicate", "event_id": first.json()["event_id"]})
    assert send(signed("another secret", BODY)).status_code == 401
    assert naive.rows() == (1,)
    naive.stop()
    assert naive.spans_arrived() == 3 * 4


@pytest.fixture
def full(servers: Servers, tmp_path: Path) -> Iterator[Full]:
    """OpsConnect on a database with a thousand events made by SQL."""
    sink = Sink()
    try:
        variant = Full(Machinery(servers, sink), tmp_path, 1000, lambda _: None)
        yield variant
        variant.stop()
    finally:
        sink.stop()


def test_events_made_by_sql_are_like_those_that_were_sent(full: Full) -> None:
    """Ids of their time in the partitions of their days, and keys under which a real delivery is a duplicate."""
    count, days, misplaced, wrong = full.database.row(
        "SELECT count(*), count(DISTINCT tableoid),"
        " count(*) FILTER (WHERE id < opsconnect_first_id(received_at::date)"
        "                     OR id >= opsconnect_first_id(received_at::date + 1)),"
        " count(*) FILTER (WHERE substr(id::text, 15, 1) <> '7') FROM events WHERE delivery_id LIKE 'kept-%'"
    )
    assert (count, misplaced, wrong) == (1000, 0, 0)
    assert days in {2, 3}
    headers = {"X-Signature": signed(SECRET, BODY), "X-Delivery-Id": "kept-500"}
    again = CLIENT.post(f"http://127.0.0.1:{full.port}{PATH}", content=BODY, headers=headers)
    kept = full.kept(["kept-500"])
    assert (again.status_code, again.json()["event_id"]) == (200, kept["kept-500"])
