"""How many fetches strangers may cause, by the clock."""

from app.core.domain.fetch_allowance import FetchAllowance, FetchBounds

BOUNDS = FetchBounds(at_once=3, at_once_per_host=2, per_minute=6, per_minute_per_host=4)


def test_so_many_at_once_of_a_host_and_in_all() -> None:
    allowance = FetchAllowance(BOUNDS)
    assert [allowance.take("a", 0.0) for _ in range(2)] == [None, None]
    assert allowance.take("a", 0.0) == "too many new keys of a are being fetched"
    assert allowance.take("b", 0.0) is None
    assert allowance.take("c", 0.0) == "too many new keys are being fetched"
    allowance.give_back("a")
    assert allowance.take("c", 0.0) is None


def test_so_many_a_minute_of_a_host_and_in_all() -> None:
    allowance = FetchAllowance(BOUNDS)

    def fetch(host: str, now: float) -> str | None:
        reason = allowance.take(host, now)
        if reason is None:
            allowance.give_back(host)
        return reason

    assert [fetch("a", float(second)) for second in range(4)] == [None] * 4
    assert fetch("a", 59.9) == "too many new keys of a were asked for within a minute"
    assert [fetch("b", 59.9) for _ in range(2)] == [None, None]
    assert fetch("c", 59.9) == "too many new keys were asked for within a minute"
    assert fetch("a", 60.0) is None
    assert fetch("a", 60.0) == "too many new keys were asked for within a minute"
    assert fetch("c", 61.0) is None
