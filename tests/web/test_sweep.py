"""How the sweep goes over connections: never many at once, and never for long."""

import heapq
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import pytest

from app.adapters.web.admission import Admission
from app.adapters.web.watch import (
    LONGEST_SWEEP_SECONDS,
    LOOKED_AT_AT_ONCE,
    PAUSE_SECONDS,
    SWEEP_SECONDS,
    Limits,
    Refusals,
    Watch,
)


class Clock:
    """A double of the event loop: its timers fire at once, in order, and time is theirs."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._timers, (self.now + seconds, len(self._timers), lambda: call(*arguments)))

    def run(self, until: float) -> None:
        while self._timers and self._timers[0][0] <= until:
            self.now, _, call = heapq.heappop(self._timers)
            call()


class Looked:
    """A connection that says when it was looked at."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def look(self, now: float) -> None:
        self.at.append(now)


@pytest.mark.parametrize("count", [1, 33, 2_000, 20_000])
def test_a_crowd_is_looked_at_in_pieces_and_soon(count: int) -> None:
    clock, watch = Clock(), Watch(Limits(), Refusals(), Admission(1, 1))
    connections = [Looked() for _ in range(count)]
    for connection in connections:
        assert watch.enter(connection, "", cast("Any", clock))
    clock.run(SWEEP_SECONDS + LONGEST_SWEEP_SECONDS)
    times = [connection.at[0] for connection in connections]
    assert max(times.count(at) for at in set(times)) <= LOOKED_AT_AT_ONCE
    pieces = sorted(set(times))
    pauses = [later - sooner for sooner, later in pairwise(pieces)]
    assert all(pause <= PAUSE_SECONDS + 1e-9 for pause in pauses)
    assert pieces[-1] - pieces[0] == pytest.approx(min(PAUSE_SECONDS * len(pauses), LONGEST_SWEEP_SECONDS), rel=0.01)


def test_who_leaves_in_the_middle_of_a_sweep_is_not_looked_at() -> None:
    clock, watch = Clock(), Watch(Limits(), Refusals(), Admission(1, 1))
    connections = [Looked() for _ in range(LOOKED_AT_AT_ONCE + 1)]
    for connection in connections:
        watch.enter(connection, "", cast("Any", clock))
    clock.run(SWEEP_SECONDS)
    (left,) = [connection for connection in connections if not connection.at]
    watch.leave(left, "")
    clock.run(SWEEP_SECONDS + LONGEST_SWEEP_SECONDS)
    assert not left.at
