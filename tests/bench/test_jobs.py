"""What the figures of jobs rest on: that a turn counts what is recorded, and notices what is not."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.bench.jobs.opsconnect import Kind, OpsConnect
from tests.bench.jobs.report import over, own, peers, per_second
from tests.bench.jobs.turns import WARM_UP_JOBS, Result, Turn, turn
from tests.bench.machinery import Machinery
from tests.bench.sink import Sink
from tests.conftest import Servers


@pytest.fixture
def machinery(servers: Servers) -> Iterator[Machinery]:
    sink = Sink()
    try:
        yield Machinery(servers, sink)
    finally:
        sink.stop()


class Forgetful(OpsConnect):
    """Does what it is told, and forgets one job."""

    def recorded(self) -> tuple[int, ...]:
        self.database.run("DELETE FROM finished_jobs WHERE id = (SELECT max(id::text)::uuid FROM finished_jobs)")
        return super().recorded()


@pytest.mark.parametrize("kind", ["jobs", "events"])
def test_a_turn_ends_when_every_job_is_recorded(kind: Kind, machinery: Machinery, tmp_path: Path) -> None:
    with closing(OpsConnect(kind, kind, machinery, tmp_path)) as contender:
        one = turn(contender, 60)
        assert one.faults == ()
        assert set(contender.recorded()) == {60 + WARM_UP_JOBS}
    assert one.application > 0


def test_a_job_that_is_not_recorded_makes_a_turn_worthless(machinery: Machinery, tmp_path: Path) -> None:
    with closing(Forgetful("forgetful", "jobs", machinery, tmp_path)) as contender:
        one = turn(contender, 60)
    assert one.faults == (f"forgetful: {60 + WARM_UP_JOBS} jobs, recorded as done: ({59 + WARM_UP_JOBS},)",)


def a_turn(per_second: float, foreign: float = 0.0) -> Turn:
    return Turn(1000, 1000 / per_second, 100.0, 50.0, 0.0, (1.0, 0.5), foreign, 0.0, ())


def test_the_yardstick_is_the_best_other_of_the_same_round() -> None:
    results = {
        "ours": Result("ours", other=False, turns=[a_turn(3000), a_turn(4000), a_turn(9000)]),
        "one": Result("one", other=True, turns=[a_turn(1000), a_turn(500), a_turn(500)]),
        "two": Result("two", other=True, turns=[a_turn(500), a_turn(2000), a_turn(500, foreign=0.5)]),
    }
    ratio, alone = over(peers, per_second)(results, "ours"), own(per_second)(results, "two")
    assert ratio is not None
    assert ratio.values == pytest.approx((3.0, 2.0))
    assert over(peers, per_second)(results, "one") is None
    assert alone is not None
    assert alone.values == pytest.approx((500, 2000))
