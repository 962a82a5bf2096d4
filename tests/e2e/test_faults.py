"""Dependencies that die, hang or come back: what senders and operators are told meanwhile."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from pathlib import Path

import asyncpg
import httpx

from tests.conftest import Servers
from tests.e2e.api import Api, serving, until
from tests.e2e.conftest import BOTH_WAYS, OPEN, rows, stop_backends
from tests.e2e.ledger import assert_ledger
from tests.e2e.sender import acknowledged, deliveries, send_all


def timed_post(api: Api, number: int) -> tuple[httpx.Response, float]:
    started = time.perf_counter()
    response = api.post("/api/v1/webhooks/open", f'{{"n":{number}}}')
    return response, time.perf_counter() - started


@BOTH_WAYS
async def test_without_postgres_senders_are_told_to_come_back(own_api: Api, own_servers: Servers) -> None:
    """503 with Retry-After within 2 s, alive but not ready, and full service within 5 s of its return."""
    own_servers.postgres.kill()
    for number in range(3):
        response, seconds = timed_post(own_api, number)
        assert response.status_code == 503
        assert response.json()["code"] in {"unavailable", "outcome_unknown"}
        assert 1 <= int(response.headers["retry-after"]) <= 5
        assert seconds < 2
    assert own_api.get("/api/v1/health/live").status_code == 200
    assert own_api.get("/api/v1/health/ready").status_code == 503
    health = own_api.get("/api/v1/health")
    assert health.status_code == 503
    assert health.json()["status"] == "unhealthy"
    assert "Postgres" in health.json()["reason"]
    assert own_api.get("/api/v1/events").status_code == 503
    own_servers.postgres.start()
    until(lambda: timed_post(own_api, 9)[0].status_code in {200, 202}, 5, "full service")
    assert own_api.get("/api/v1/health").json()["status"] == "healthy"


@BOTH_WAYS
async def test_a_source_that_is_not_known_yet_cannot_be_looked_up_without_postgres(
    own_api: Api, own_servers: Servers
) -> None:
    """Unknown and away are different things: 404 only when Postgres said so."""
    assert own_api.post("/api/v1/webhooks/nobody").status_code == 404
    own_servers.postgres.kill()
    assert own_api.post("/api/v1/webhooks/nobody").status_code == 503


@BOTH_WAYS
async def test_a_frozen_postgres_is_answered_for_in_time(own_api: Api, own_servers: Servers) -> None:
    """Every backend stopped: 503 within 2 s; thawed, everything goes on."""
    family = await stop_backends(own_api.database_url, own_servers)
    try:
        answers = await asyncio.gather(*(asyncio.to_thread(timed_post, own_api, number) for number in range(8)))
        assert {response.status_code for response, _ in answers} == {503}
        assert max(seconds for _, seconds in answers) < 2
        assert own_api.get("/api/v1/health/live").status_code == 200
    finally:
        for pid in family:
            with contextlib.suppress(ProcessLookupError):  # the backend that told us the pids has ended
                os.kill(pid, signal.SIGCONT)
    until(lambda: timed_post(own_api, 99)[0].status_code in {200, 202}, 5, "full service")


@BOTH_WAYS
async def test_one_frozen_connection_does_not_stop_the_others(own_api: Api) -> None:
    """One of intake's backends stops answering; what goes to it is refused in time, the rest is kept.

    It is frozen while it is idle: a backend that is stopped inside a statement may hold a latch of the whole server.
    """
    first = deliveries(1, "first")
    await send_all(own_api.port, first)
    query = """
        SELECT pid FROM pg_stat_activity
        WHERE application_name = 'opsconnect' AND state = 'idle' AND query LIKE '%WITH delivery AS%' LIMIT 1
    """
    (row,) = await rows(own_api.database_url, query)
    os.kill(row["pid"], signal.SIGSTOP)
    work = deliveries(2_000)
    try:
        await send_all(own_api.port, work, connections=30)
    finally:
        os.kill(row["pid"], signal.SIGCONT)
    refused = [sent for sent in work if not sent.acknowledged]
    assert refused, "the frozen connection was never used"
    assert len(refused) <= 30
    assert {sent.answers[0][0] for sent in refused} == {503}
    assert max(sent.slowest_seconds for sent in work) < 2
    await assert_ledger(own_api.database_url, [*first, *work])


@BOTH_WAYS
async def test_a_locked_table_is_answered_for_in_time(api: Api) -> None:
    """Somebody changes the schema for half a minute: 503 within 2 s for everybody, then everything goes on."""
    connection = await asyncpg.connect(api.database_url)
    work = deliveries(200)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
            await send_all(api.port, work, connections=50)
    finally:
        await connection.close()
    assert {sent.answers[0][0] for sent in work} == {503}
    assert max(sent.slowest_seconds for sent in work) < 2
    await send_all(api.port, work)
    assert {sent.answers[1][0] for sent in work} <= {200, 202}
    await assert_ledger(api.database_url, work)


@BOTH_WAYS
async def test_without_redis_everything_is_kept_and_health_says_degraded(own_api: Api, own_servers: Servers) -> None:
    own_servers.redis.kill()
    first = own_api.post("/api/v1/webhooks/open", b'{"n":1}')
    again = own_api.post("/api/v1/webhooks/open", b'{"n":1}')
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["event_id"] == first.json()["event_id"]
    health = own_api.get("/api/v1/health")
    assert health.status_code == 200
    assert health.json()["status"] == "degraded"
    assert "Redis" in health.json()["reason"]
    assert own_api.get("/api/v1/health/ready").status_code == 200
    own_servers.redis.start()
    until(lambda: own_api.get("/api/v1/health").json()["status"] == "healthy", 10)


@BOTH_WAYS
async def test_a_frozen_redis_costs_a_moment_and_no_event(own_api: Api, own_servers: Servers) -> None:
    """The operation's budget until the breaker opens, then nothing; duplicates are still found."""
    os.kill(own_servers.redis.pid, signal.SIGSTOP)
    try:
        answers = [timed_post(own_api, number % 10) for number in range(20)]
    finally:
        os.kill(own_servers.redis.pid, signal.SIGCONT)
    assert [response.status_code for response, _ in answers] == [202] * 10 + [200] * 10
    assert max(seconds for _, seconds in answers) < 0.5
    assert sum(seconds for _, seconds in answers) < 5


async def test_a_dead_collector_costs_neither_answers_nor_the_exit(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Spans go to a port where nobody listens, and to one where nobody answers."""
    deaf = socket.create_server(("127.0.0.1", 0))  # takes connections and never reads
    port = deaf.getsockname()[1]
    for endpoint in ("http://127.0.0.1:9", f"http://127.0.0.1:{port}"):
        settings = {"OTEL_SDK_DISABLED": "false", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        with serving(database_url, redis_url, tmp_path, **settings) as api:
            await asyncio.to_thread(api.apply, OPEN)
            for number in range(20):
                response, seconds = await asyncio.to_thread(timed_post, api, number)
                assert response.status_code in {200, 202}
                assert seconds < 0.5
            started = time.perf_counter()
            assert await asyncio.to_thread(api.stop) == 0
            assert time.perf_counter() - started < 10
    deaf.close()


@BOTH_WAYS
async def test_sigterm_finishes_what_is_in_flight_and_exits_with_0(api: Api) -> None:
    """Under load: every answer before the end is one of ours, and what was acknowledged is kept."""
    work = deliveries(5_000)
    sending = asyncio.create_task(send_all(api.port, work))
    await acknowledged(work, 500)
    assert await asyncio.to_thread(api.stop) == 0
    await sending
    assert any(not sent.acknowledged for sent in work), "the signal came too late to show anything"
    await assert_ledger(api.database_url, work)


async def test_readiness_says_that_the_end_is_announced(database_url: str, redis_url: str, tmp_path: Path) -> None:
    """For the announced time the process serves on, but asks for no more traffic."""
    with serving(database_url, redis_url, tmp_path, OPSCONNECT_DRAIN_ANNOUNCE_SECONDS="2") as api:
        await asyncio.to_thread(api.apply, OPEN)
        assert api.process is not None
        api.process.send_signal(signal.SIGTERM)
        until(lambda: api.get("/api/v1/health/ready").status_code == 503, 1, "the announcement")
        assert api.get("/api/v1/health/ready").json() == {"status": "draining"}
        assert api.get("/api/v1/health").status_code == 200
        assert api.post("/api/v1/webhooks/open").status_code == 202
        assert await asyncio.to_thread(api.process.wait, 10) == 0
