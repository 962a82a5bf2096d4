"""Every wait for Postgres ends in its own budget, and every failure says what the caller can do next."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.adapters.postgres.connections import Budget, Connections
from app.core.domain.errors import OutcomeUnknown, RowBlocked, RowRejected, Unavailable, Unfit
from app.infra.embedded import PostgresServer, claim
from tests.conftest import PATIENT, Servers


@contextlib.asynccontextmanager
async def connections(url: str, budget: Budget = PATIENT, largest: int = 2) -> AsyncIterator[Connections]:
    made = Connections(url, budget=budget, largest=largest)
    try:
        yield made
    finally:
        await made.close()


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """A generous bound: the machine may be busy, but a budget that is not kept shows as a hang."""
    started = time.perf_counter()
    yield
    assert time.perf_counter() - started < seconds


def test_the_budgets_are_those_that_were_promised() -> None:
    assert Budget() == Budget(
        acquire_seconds=0.3,
        connect_seconds=0.5,
        call_seconds=1.0,
        lock_seconds=0.5,
        statement_seconds=2.0,
        idle_in_transaction_seconds=5.0,
    )


async def test_the_server_is_told_of_its_own_limits(database_url: str) -> None:
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    async with connections(database_url, Budget(connect_seconds=5)) as made, made.session() as session:
        shown = {name: await session.fetchval("SELECT current_setting($1)", name) for name in names}
    assert shown == {
        "lock_timeout": "500ms",
        "statement_timeout": "2s",
        "idle_in_transaction_session_timeout": "5s",
    }


async def test_a_server_that_takes_connections_and_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"postgresql://somebody:secret@127.0.0.1:{deaf.getsockname()[1]}/nothing"
        async with connections(url, Budget()) as made:
            with within(2), pytest.raises(Unavailable, match="no connection to Postgres") as caught:
                async with made.session():
                    pass
    assert "secret" not in str(caught.value)


async def test_nobody_waits_for_a_free_connection_for_long(database_url: str) -> None:
    async with connections(database_url, replace(PATIENT, acquire_seconds=0.3), largest=1) as made, made.session():
        with within(2), pytest.raises(Unavailable, match="no answer in time"):
            async with made.session():
                pass


async def test_a_call_that_takes_too_long_is_given_up_with_its_connection(database_url: str) -> None:
    """Its statement may still end there, so nobody knows what came of it, and nobody else gets its answer."""
    async with connections(database_url, replace(PATIENT, call_seconds=0.3), largest=1) as made:
        async with made.session() as session:
            first = await session.fetchval("SELECT pg_backend_pid()")
        with within(2), pytest.raises(OutcomeUnknown, match="no answer in time"):
            async with made.session() as session:
                await session.execute("SELECT pg_sleep(5)")
        assert made.epoch() is None
        async with made.session() as session:
            assert await session.fetchval("SELECT pg_backend_pid()") != first


async def test_the_server_ends_a_statement_by_itself(database_url: str) -> None:
    async with connections(database_url, replace(PATIENT, statement_seconds=0.2)) as made:
        with within(3), pytest.raises(Unavailable, match="statement timeout"):
            async with made.session() as session:
                await session.execute("SELECT pg_sleep(5)")


async def test_a_lock_that_somebody_keeps_blocks_a_row_and_no_more(database_url: str) -> None:
    async with (
        connections(database_url, replace(PATIENT, lock_seconds=0.2)) as made,
        made.session() as holder,
        holder.transaction(),
    ):
        await holder.execute("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
        with within(3), pytest.raises(RowBlocked):
            async with made.session() as session:
                await session.execute("INSERT INTO inbox (event_id, source) VALUES (gen_random_uuid(), 'x')")


async def test_failures_are_sorted_by_what_comes_next(database_url: str) -> None:
    async with connections(database_url) as made:
        for statement, kind, text in (
            ("INSERT INTO inbox (event_id, source) VALUES (NULL, 'x')", RowRejected, "null value"),
            ("SELECT 1/0", RowRejected, "division by zero"),
            ("SELECT * FROM nothing_of_that_name", Unavailable, "opsconnect migrate"),
            ("SELECT pg_terminate_backend(pg_backend_pid())", OutcomeUnknown, "."),
        ):
            with pytest.raises(kind, match=text):
                async with made.session() as session:
                    await session.execute(statement)
        async with made.session() as session:
            assert await session.fetchval("SELECT 1") == 1


async def test_the_epoch_is_believed_for_a_second_after_an_answer(database_url: str) -> None:
    async with connections(database_url) as made:
        assert made.epoch() is None
        async with made.session() as session:
            await session.execute("SELECT 1")
        epoch = made.epoch()
        assert epoch is not None
        assert epoch.count("/") == 2
        async with asyncio.timeout(5):
            while made.epoch() is not None:
                await asyncio.sleep(0.05)


async def test_a_restarted_server_has_another_epoch(own_servers: Servers) -> None:
    async with connections(own_servers.postgres.url()) as made:
        async with made.session():
            pass
        before = made.epoch()
        own_servers.postgres.stop()
        own_servers.postgres.start()
        while True:
            with contextlib.suppress(Unavailable, OutcomeUnknown):
                async with made.session() as session:
                    await session.execute("SELECT 1")
                break
        assert before is not None
        assert made.epoch() not in (None, before)


async def test_another_database_on_the_same_server_has_another_epoch(servers: Servers, database_url: str) -> None:
    async with connections(database_url) as made, connections(servers.postgres.url()) as other:
        async with made.session(), other.session():
            pass
        assert made.epoch() != other.epoch()


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_server_that_would_lose_what_it_confirmed_is_refused(tmp_path: Path, setting: str) -> None:
    """At each connect, so that it does not help to switch it off later."""
    with claim(tmp_path / "data") as data:
        postgres = PostgresServer(data, extra_settings={setting: "off"})
        postgres.start()

        async def ask() -> None:
            async with connections(postgres.url()) as made:
                with pytest.raises(Unfit, match=f"{setting} off"):
                    async with made.session():
                        pass

        try:
            asyncio.run(ask())
        finally:
            postgres.stop()


async def test_addresses_that_lead_nowhere_say_what_to_look_at() -> None:
    for url in ("postgresql://a:b@127.0.0.1:9/x", "postgresql://a:b@nothing.invalid/x"):
        async with connections(url) as made:
            with pytest.raises(Unavailable, match="OPSCONNECT_DATABASE_URL"):
                async with made.session():
                    pass


async def test_a_wrong_password_is_said_and_not_shown(database_url: str) -> None:
    user, _, rest = database_url.partition("@")
    async with connections(user.rpartition(":")[0] + ":CANARY@" + rest) as made:
        with pytest.raises(Unavailable, match="password authentication failed") as caught:
            async with made.session():
                pass
    assert "CANARY" not in str(caught.value)
