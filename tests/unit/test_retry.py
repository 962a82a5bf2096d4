"""When a failed step is tried again: whatever the policy and the chance, never before now and never beyond a bound."""

from collections.abc import Callable
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.domain.connector import Failure
from app.core.domain.retry import Backoff, RetryPolicy
from tests.unit.catalog.fuzzed import fuzzed

seconds = st.floats(0, 1e7)
backoffs = st.builds(
    Backoff,
    attempts=st.integers(1, 1_000),
    first_seconds=seconds,
    factor=st.floats(1, 1e6),
    cap_seconds=seconds,
    delays_seconds=st.none() | st.lists(seconds, max_size=5).map(tuple),
)
policies = st.builds(
    RetryPolicy,
    backoff=backoffs,
    by_failure=st.dictionaries(st.sampled_from(Failure), backoffs),
    most_age_seconds=seconds,
    most_retry_after_seconds=seconds,
)
given_any = given(
    policies, st.sampled_from(Failure), st.integers(1, 1_100), seconds, st.floats(0, 1, exclude_max=True),
    st.none() | st.floats(-1e9, 1e12) | st.just(inf),
)  # fmt: skip


@given_any
@fuzzed(usually=300)
def test_a_delay_keeps_to_every_bound(
    policy: RetryPolicy, failure: Failure, tries: int, age: float, chance: float, retry_after: float | None
) -> None:
    delay = policy.next_delay(failure, tries, age, chance, retry_after)
    backoff = policy.by_failure.get(failure, policy.backoff)
    if delay is None:
        return
    assert tries < backoff.most
    assert delay >= 0
    assert age + delay <= policy.most_age_seconds
    asked = min(max(retry_after or 0.0, 0.0), policy.most_retry_after_seconds)
    own = backoff.cap_seconds if backoff.delays_seconds is None else backoff.delays_seconds[tries - 1]
    assert asked <= delay <= max(own, asked)


@given(backoffs, st.floats(0, 1, exclude_max=True))
@fuzzed(usually=100)
def test_tries_come_to_an_end(backoff: Backoff, chance: float) -> None:
    policy = RetryPolicy(backoff, {}, inf, inf)
    assert policy.next_delay(Failure.RETRY, backoff.most, 0, chance) is None
    assert all(
        policy.next_delay(Failure.RETRY, tries, 0, chance) is not None for tries in range(1, min(backoff.most, 20))
    )


def test_delays_grow_to_the_cap() -> None:
    backoff = Backoff(attempts=99, first_seconds=5, factor=3, cap_seconds=400)
    longest: Callable[[int], float] = lambda tries: backoff.delay(tries, 1.0)  # noqa: E731
    assert [longest(tries) for tries in range(1, 7)] == [5, 15, 45, 135, 400, 400]
    assert longest(90) == 400
    assert backoff.delay(2, 0.0) == 0
    assert backoff.delay(2, 0.5) == 7.5


def test_an_explicit_list_is_waited_exactly() -> None:
    policy = RetryPolicy(Backoff(delays_seconds=(1.0, 60.0)))
    assert [policy.next_delay(Failure.RETRY, tries, 0, 0.123) for tries in (1, 2, 3)] == [1.0, 60.0, None]


@pytest.mark.parametrize(("failure", "most"), [(Failure.INVALID, 1), (Failure.PERMANENT, 3), (Failure.THROTTLED, 10)])
def test_what_will_not_help_is_tried_less(failure: Failure, most: int) -> None:
    policy = RetryPolicy()
    assert policy.next_delay(failure, most, 0, 0.5) is None
    assert most == 1 or policy.next_delay(failure, most - 1, 0, 0.5) is not None
