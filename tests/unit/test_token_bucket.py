"""A rate with a burst."""

from hypothesis import given
from hypothesis import strategies as st

from app.core.domain.token_bucket import TokenBucket


def test_a_burst_is_taken_at_once_and_then_only_what_time_brings() -> None:
    bucket = TokenBucket(per_second=10, burst=50, now=100.0)
    assert [bucket.take(1, 100.0) for _ in range(51)] == [True] * 50 + [False]
    assert not bucket.take(1, 100.05)
    assert bucket.take(1, 100.125)
    assert not bucket.take(1, 100.125)


def test_idle_time_fills_it_up_to_the_burst_and_no_further() -> None:
    bucket = TokenBucket(per_second=10, burst=50, now=0.0)
    assert bucket.take(50, 0.0)
    assert not bucket.take(51, 1e9)
    assert bucket.take(50, 1e9)


def test_an_empty_one_gives_nothing_however_long_one_waits() -> None:
    bucket = TokenBucket(per_second=0, burst=0, now=0.0)
    assert not bucket.take(1, 1e9)


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(per_second=10, burst=1, now=100.0)
    assert bucket.take(1, 100.0)
    assert not bucket.take(1, 50.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 20)), max_size=50))
def test_over_any_time_no_more_is_given_than_the_burst_and_what_the_rate_brings(
    steps: list[tuple[float, float]],
) -> None:
    bucket = TokenBucket(per_second=4, burst=10, now=0.0)
    now = given_out = 0.0
    for pause, amount in steps:
        now += pause
        given_out += amount if bucket.take(amount, now) else 0
        assert given_out <= 10 + 4 * now + 1e-6
