"""Several processes' metrics, shown as those of one."""

import asyncio

from app.adapters.telemetry.metrics import IntakeMetrics
from app.adapters.telemetry.readings import Readings
from app.adapters.telemetry.shared_metrics import FRESH_SECONDS, SharedMetrics
from app.infra.shared_page import SharedPage
from tests.adapters.test_metrics import an_answer, samples_of
from tests.deliveries import a_flush


class Crew:
    """Some processes, all in this one, and the time of all of them."""

    def __init__(self, size: int = 2) -> None:
        self.now = 100.0
        self.pages = [SharedPage() for _ in range(size)]
        self.open = [False] * size
        self.counted: list[IntakeMetrics] = []
        self.shared: list[SharedMetrics] = []
        for place in range(size):
            counted, shared = self.member(place)
            self.counted.append(counted)
            self.shared.append(shared)

    def member(self, place: int) -> tuple[IntakeMetrics, SharedMetrics]:
        """Make the process of one place, be it the first one there or not."""
        own = IntakeMetrics(
            version="1",
            readings=Readings(
                pools={"intake": lambda: (place + 1, 10)},
                lock_outcomes=lambda: {"held": 5},
                breakers={"redis": lambda: self.open[place]},
            ),
        )
        others = [page for other, page in enumerate(self.pages) if other != place]
        return own, SharedMetrics(own, self.pages[place], others, clock=lambda: self.now)


def requests(shared: SharedMetrics, source: str = "demo") -> float:
    key = "opsconnect_requests_total", (("outcome", "accepted"), ("source", source))
    return samples_of(shared.render()).get(key, 0)


def test_whoever_is_asked_gives_the_sum() -> None:
    crew = Crew(3)
    for place, counted in enumerate(crew.counted):
        for _ in range(10**place):
            counted.answered(an_answer(ms=3))
        counted.flushed(a_flush(2))
    crew.counted[2].answered(an_answer(source="rare", ms=900))
    for shared in crew.shared:
        shared.show()
    shown = [samples_of(shared.render()) for shared in crew.shared]
    for samples in shown:
        assert samples["opsconnect_requests_total", (("outcome", "accepted"), ("source", "demo"))] == 111
        assert samples["opsconnect_requests_total", (("outcome", "accepted"), ("source", "rare"))] == 1
        assert samples["opsconnect_ack_seconds_bucket", (("class", "accepted"), ("le", "0.004"))] == 111
        assert samples["opsconnect_ack_seconds_bucket", (("class", "accepted"), ("le", "+Inf"))] == 112
        assert samples["opsconnect_ack_seconds_count", (("class", "accepted"),)] == 112
        assert samples["opsconnect_flush_rows_sum", ()] == 6
        assert samples["opsconnect_locks_total", (("outcome", "held"),)] == 15
        assert samples["opsconnect_pool_connections", (("pool", "intake"), ("state", "in_use"))] == 6
        assert samples["opsconnect_pool_connections", (("pool", "intake"), ("state", "idle"))] == 30
        (build,) = (value for (name, _), value in samples.items() if name == "opsconnect_build_info")
        assert build == 1
    alone = samples_of(crew.counted[0].render())
    assert shown[0]["process_resident_memory_bytes", ()] > 2 * alone["process_resident_memory_bytes", ()]
    assert shown[0]["process_start_time_seconds", ()] == alone["process_start_time_seconds", ()]


def test_nothing_but_numbers_is_changed_by_company() -> None:
    """Names, help, labels and their order are as those of one process."""
    crew = Crew()
    for counted, shared in zip(crew.counted, crew.shared, strict=True):
        counted.answered(an_answer())
        shared.show()

    def words(content: bytes) -> list[bytes]:
        return [line if line.startswith(b"#") else line.rpartition(b" ")[0] for line in content.splitlines()]

    assert words(crew.shared[0].render()) == words(crew.counted[0].render())


def test_what_is_asked_of_oneself_is_of_this_moment() -> None:
    crew = Crew()
    crew.counted[1].answered(an_answer())
    crew.shared[1].show()
    crew.counted[0].answered(an_answer())
    assert requests(crew.shared[0]) == 2


def test_what_was_told_outside_survives_a_kill() -> None:
    """A counter that a scrape has seen is not lower at the next, whoever died in between and whoever is asked."""
    crew = Crew()
    crew.counted[1].answered(an_answer())
    assert requests(crew.shared[1]) == 1
    assert requests(crew.shared[0]) == 1
    assert requests(crew.member(1)[1]) == 1


def test_whoever_takes_the_place_of_a_dead_one_counts_on() -> None:
    """However often: the counters never go back, for the others neither."""
    crew = Crew()
    crew.counted[0].answered(an_answer())
    for deaths in range(1, 4):
        crew.counted[1].answered(an_answer())
        crew.shared[1].show()
        crew.counted[1], crew.shared[1] = crew.member(1)
        assert requests(crew.shared[0]) == requests(crew.shared[1]) == deaths + 1
        crew.shared[1].show()
        assert requests(crew.shared[0]) == deaths + 1


def test_the_gauges_of_the_dead_are_forgotten_and_their_counters_are_not() -> None:
    crew = Crew()
    crew.counted[1].answered(an_answer())
    crew.open[1] = True
    crew.shared[1].show()

    def seen() -> tuple[float, float, float]:
        samples = samples_of(crew.shared[0].render())
        pool = samples["opsconnect_pool_connections", (("pool", "intake"), ("state", "in_use"))]
        return requests(crew.shared[0]), pool, samples["opsconnect_breaker_open", (("dependency", "redis"),)]

    crew.counted[0].answered(an_answer())
    assert seen() == (2, 3, 1)
    crew.now += FRESH_SECONDS + 1
    assert seen() == (2, 1, 0)


async def test_it_is_shown_at_once_and_again_and_again() -> None:
    crew = Crew()
    stop = asyncio.Event()
    running = asyncio.create_task(crew.shared[1].run(stop))
    crew.counted[1].answered(an_answer())
    async with asyncio.timeout(10):
        while b'outcome="accepted"' not in crew.shared[0].render():
            await asyncio.sleep(0.02)
        stop.set()
        await running
    assert requests(crew.shared[0]) == 1
