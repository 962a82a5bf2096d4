"""Leases on a shared rate: few questions, never more than was given, and a way on alone."""

import asyncio

import pytest

from app.core.domain.errors import Unavailable
from app.core.policies.leased_rates import LeasedRates
from app.core.ports.rate_limit import RateLimit


class Counter(RateLimit):
    """A limit that gives what the test says, and counts who asks."""

    def __init__(self, *given: int) -> None:
        self.given = list(given)
        self.asked: list[int] = []

    async def take(self, name: str, *, per_second: float, most: int) -> int:
        self.asked.append(most)
        await asyncio.sleep(0)
        if not self.given:
            raise Unavailable("Redis is away")
        return min(most, self.given.pop(0))


class Bench:
    """Leases with a clock of the test's own."""

    def __init__(self, *given: int) -> None:
        self.now = 100.0
        self.inner = Counter(*given)
        self.rates = LeasedRates(self.inner, clock=lambda: self.now)

    async def may(self, times: int, per_second: float = 100) -> list[bool]:
        return [await self.rates.may("demo", per_second) for _ in range(times)]


async def test_a_lease_is_used_up_before_anybody_is_asked_again() -> None:
    bench = Bench(10, 10)
    assert await bench.may(20) == [True] * 20
    assert bench.inner.asked == [10, 10]


async def test_at_once_says_nothing_without_a_lease_and_does_not_ask() -> None:
    bench = Bench(2)
    assert bench.rates.at_once("demo", 100) is None
    assert await bench.may(1) == [True]
    assert bench.rates.at_once("demo", 100) is True
    assert bench.rates.at_once("demo", 100) is None
    assert bench.inner.asked == [10]


async def test_where_nothing_is_to_be_had_nobody_is_asked_for_a_moment() -> None:
    bench = Bench(0, 3)
    assert await bench.may(50) == [False] * 50
    assert bench.inner.asked == [10]
    bench.now += 0.1
    assert await bench.may(3) == [True] * 3
    assert len(bench.inner.asked) == 2


async def test_those_who_come_at_once_share_one_question() -> None:
    bench = Bench(10)
    assert all(await asyncio.gather(*(bench.rates.may("demo", 100) for _ in range(10))))
    assert bench.inner.asked == [10]


async def test_a_lease_that_was_not_used_is_given_up() -> None:
    bench = Bench(10, 0)
    assert await bench.may(1) == [True]
    bench.now += 1
    assert await bench.may(1) == [False]


async def test_alone_it_goes_by_the_whole_rate() -> None:
    """Nobody can be asked: no event is lost for that, and the process does not take any number either."""
    bench = Bench()
    answers = await bench.may(200)
    assert answers.count(True) == 100
    bench.now += 0.5
    assert (await bench.may(200)).count(True) == 50


@pytest.mark.parametrize("per_second", [0.01, 1, 1e6])
async def test_any_rate_leases_something(per_second: float) -> None:
    bench = Bench(1_000_000)
    assert await bench.may(1, per_second) == [True]
