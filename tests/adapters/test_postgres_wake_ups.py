"""Hints by Postgres where it breaks: nobody is held up, nobody raises, and both ends come back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.adapters.postgres.connections import Budget
from app.adapters.postgres.wake_ups import CHANNEL, SPACING_SECONDS, PostgresWakeUps
from tests.conftest import PATIENT
from tests.unit.commanded_store import until

LONG = 20.0
SHORT = 0.02


@pytest.fixture(scope="module")
def database_url(one_database: str) -> str:
    """One for all of them: nothing is kept in it."""
    return one_database


@asynccontextmanager
async def running(wake_ups: PostgresWakeUps) -> AsyncIterator[PostgresWakeUps]:
    """With its duty."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as duties:
        duties.create_task(wake_ups.run(stop))
        yield wake_ups
        stop.set()


async def until_it_hears(wake_ups: PostgresWakeUps) -> None:
    async with asyncio.timeout(LONG):
        while not wake_ups.hears:
            await wake_ups.wait(SHORT)
            await asyncio.sleep(0)  # so that time runs out also where no wait waits


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What broke is made anew at once."""
    monkeypatch.setattr("app.adapters.postgres.wake_ups.AFTER_A_FAILURE_SECONDS", 0.01)


async def sessions(database: Any) -> set[int]:
    rows = await database.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return {row["pid"] for row in rows}


async def test_many_hints_at_once_are_two_notifications_at_most(database_url: str, database: Any) -> None:
    """The first at once, and one for what came after it; what comes 10 ms later is told anew."""
    told: list[float] = []
    await database.add_listener(CHANNEL, lambda *_: told.append(time.monotonic()))
    async with running(PostgresWakeUps(database_url, budget=PATIENT)) as wake_ups:
        for _ in range(100):
            wake_ups.hint()
        await until(lambda: told)
        wake_ups.hint()
        wake_ups.hint()
        await until(lambda: len(told) == 2)
    assert len(told) == 2
    assert told[1] - told[0] > SPACING_SECONDS / 2


async def test_the_last_hint_is_told_before_the_end(database_url: str, database: Any) -> None:
    told: list[str] = []
    await database.add_listener(CHANNEL, lambda *_: told.append("told"))
    stop = asyncio.Event()
    wake_ups = PostgresWakeUps(database_url, budget=PATIENT)
    wake_ups.hint()
    stop.set()
    await wake_ups.run(stop)
    await until(lambda: told)


async def test_sessions_that_were_cut_off_are_made_anew(database_url: str, database: Any) -> None:
    async with running(PostgresWakeUps(database_url, budget=PATIENT)) as wake_ups:
        for _ in range(2):
            await until_it_hears(wake_ups)
            wake_ups.hint()
            await wake_ups.wait(LONG)
            for pid in await sessions(database):
                await database.execute("SELECT pg_terminate_backend($1)", pid)
            await until(lambda: not wake_ups.hears)
    async with asyncio.timeout(LONG):
        while await sessions(database):
            await asyncio.sleep(0.001)


async def test_without_postgres_hints_are_lost_and_waits_last_their_time() -> None:
    """At no cost: no attempt follows the last one at once."""
    attempts = 0

    class Counted(PostgresWakeUps):
        async def _connect(self) -> Any:
            nonlocal attempts
            attempts += 1
            return await super()._connect()

    async with running(Counted("postgresql://nobody@127.0.0.1:9/none", budget=Budget())) as wake_ups:
        started = time.perf_counter()
        for _ in range(10):
            wake_ups.hint()
            await wake_ups.wait(SHORT)
        lasted = time.perf_counter() - started
    assert lasted >= 10 * SHORT * 0.9
    assert 2 <= attempts <= 2 * lasted / 0.01 + 2


async def test_who_never_waits_has_no_session_that_hears(database_url: str, database: Any) -> None:
    """A process that only takes webhooks in needs none."""
    told: list[str] = []
    await database.add_listener(CHANNEL, lambda *_: told.append("told"))
    async with running(PostgresWakeUps(database_url, budget=PATIENT)) as wake_ups:
        assert await sessions(database) == set()
        wake_ups.hint()
        await until(lambda: told)
        assert len(await sessions(database)) == 1
        assert not wake_ups.hears
