"""What only the lock in Redis has: a server flushed, restarted, frozen or killed, or with other people's values."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from random import Random
from secrets import token_bytes
from typing import Any

import psutil
import pytest
from redis.asyncio import Redis

from app.adapters.redis.idempotency_lock import RedisIdempotencyLock
from app.core.domain.errors import Invalid, Unavailable
from app.core.domain.ids import event_id
from app.core.ports.idempotency_lock import Committed, Lock, Marker
from tests.redis_locks import SOON_SECONDS, UNHURRIED, leave, marked, unavailable_within, until
from tests.redis_server import PASSWORD, RedisServer

HELD, BUSY = Lock.HELD, Lock.BUSY
PREFIX = b"opsconnect:delivery:"

OpenLock = Callable[..., RedisIdempotencyLock]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of the test's own, to do with as it likes."""
    with RedisServer() as running:
        yield running


@pytest.fixture
async def open_lock(server: RedisServer) -> AsyncIterator[OpenLock]:
    """Makes locks on the server; with the default budgets where the test is about them, else with generous ones."""
    made = []

    def make(url: str = server.url, **options: Any) -> RedisIdempotencyLock:
        made.append(RedisIdempotencyLock(url, **options))
        return made[-1]

    yield make
    for lock in made:
        await lock.close()


@pytest.fixture
async def admin(server: RedisServer) -> AsyncIterator[Redis]:
    """A plain client, to look at the server from the side."""
    async with Redis.from_url(server.url) as client:
        yield client


async def test_a_batch_is_one_round_trip(open_lock: OpenLock, admin: Redis) -> None:
    """A plain command a key, all of them in one piece of what the server reads (up to 16 kB at once)."""
    lock = open_lock(**UNHURRIED)
    await lock.acquire([token_bytes(32)])
    await leave(lock, marked(1))
    await admin.config_resetstat()
    batch = marked(64)
    await lock.acquire(list(batch))
    await leave(lock, batch)
    assert (await admin.info("stats"))["total_reads_processed"] == 2 + 1
    asked = await admin.info("commandstats")
    assert asked["cmdstat_set"]["calls"] == 2 * 64
    assert not {"cmdstat_eval", "cmdstat_evalsha", "cmdstat_get", "cmdstat_pexpire"} & set(asked)


async def test_a_mixed_batch_is_answered_key_by_key(open_lock: OpenLock, admin: Redis) -> None:
    """Free, own, another's and marked keys, and other people's; those that are held have their full time."""
    lock, other = open_lock(lock_seconds=30, **UNHURRIED), open_lock(**UNHURRIED)
    fresh = [token_bytes(32) for _ in range(16)]
    free, own, busy, lists = fresh[:4], fresh[4:8], fresh[8:12], fresh[12:]
    markers = marked(4)
    await lock.acquire(own)
    await other.acquire(busy)
    await leave(other, markers)
    for key in lists:
        await admin.rpush(PREFIX + key, "a list")
    for key in own:
        await admin.pexpire(PREFIX + key, 5_000)
    asked = [*free, *own, *busy, *lists, *markers, free[0], own[0]]
    expected = dict.fromkeys(free + own, HELD) | dict.fromkeys(busy + lists, BUSY) | markers
    Random(1).shuffle(asked)
    assert list(await lock.acquire(asked)) == [expected[key] for key in asked]
    for key in free + own:
        assert await admin.pttl(PREFIX + key) > 25_000


async def test_5000_keys_are_one_batch(open_lock: OpenLock, admin: Redis) -> None:
    """More than the sockets take at once, in either direction."""
    lock, other = open_lock(**UNHURRIED), open_lock(**UNHURRIED)
    batch = marked(5_000)
    assert list(await lock.acquire(list(batch))) == [HELD] * 5_000
    assert list(await other.acquire(list(batch))) == [BUSY] * 5_000
    await leave(lock, batch)
    assert list(await lock.acquire(list(batch))) == list(batch.values())
    assert await admin.dbsize() == 5_000


async def test_locks_and_markers_expire_by_themselves(open_lock: OpenLock, admin: Redis) -> None:
    """Asked for again, a lock starts anew."""
    lock = open_lock(lock_seconds=30, marker_seconds=600, **UNHURRIED)
    held, committed = token_bytes(32), token_bytes(32)
    await lock.acquire([held, committed])
    assert 25_000 < await admin.pttl(PREFIX + held) <= 30_000
    await admin.pexpire(PREFIX + held, 1000)
    await lock.acquire([held])
    assert 25_000 < await admin.pttl(PREFIX + held) <= 30_000
    await lock.settle([Committed(committed, Marker(event_id(1), bytes(32), ""))], [])
    assert 595_000 < await admin.pttl(PREFIX + committed) <= 600_000


async def test_a_flushed_server_has_forgotten_and_goes_on(open_lock: OpenLock, admin: Redis) -> None:
    lock, other = open_lock(**UNHURRIED), open_lock(**UNHURRIED)
    [(key, marker)] = marked(1).items()
    await lock.acquire([key])
    await admin.flushall()
    assert list(await other.acquire([key])) == [HELD]
    await lock.settle([], [key])
    assert list(await lock.acquire([key])) == [BUSY]
    await lock.settle([Committed(key, marker)], [])
    assert list(await other.acquire([key])) == [marker]


async def test_a_server_that_forgot_the_scripts_is_told_them_again(open_lock: OpenLock, admin: Redis) -> None:
    lock = open_lock(**UNHURRIED)
    batch = marked(3)
    for _ in range(3):
        await admin.script_flush()
        await lock.acquire([token_bytes(32)])
        await admin.script_flush()
        await leave(lock, batch)
    assert list(await lock.acquire(list(batch))) == list(batch.values())


async def test_what_somebody_else_put_there_counts_as_busy(open_lock: OpenLock, admin: Redis) -> None:
    """It breaks no batch, is not freed by us, and gives way to a marker."""
    lock = open_lock(**UNHURRIED)
    event, digest = str(event_id(1)).encode(), b"d" * 32
    values = [
        b"",
        b"L",
        b"M",
        b"nonsense",
        b"M" + event,
        b"M" + event.upper() + digest,
        b"M" + event + digest + b"\xff",
    ]
    keys = [token_bytes(32) for _ in range(len(values) + 1)]
    for key, value in zip(keys, values, strict=False):
        await admin.set(PREFIX + key, value)
    await admin.rpush(PREFIX + keys[-1], "a list")
    free = token_bytes(32)
    assert list(await lock.acquire([*keys, free])) == [BUSY] * len(keys) + [HELD]
    await lock.settle([], keys)
    assert list(await lock.acquire(keys)) == [BUSY] * len(keys)
    markers = dict(zip(keys, marked(len(keys)).values(), strict=True))
    await leave(lock, markers)
    assert list(await lock.acquire(keys)) == list(markers.values())


async def test_a_piece_of_the_wrong_length_is_refused_before_it_shifts_the_others(open_lock: OpenLock) -> None:
    lock = open_lock(**UNHURRIED)
    good = Marker(event_id(1), bytes(32), "")
    for call in (
        lock.acquire([bytes(32), bytes(31)]),
        lock.acquire([bytes(33), bytes(31)]),
        lock.settle([], [bytes(33)]),
        lock.settle([Committed(bytes(31), good)], []),
        lock.settle([Committed(bytes(32), good._replace(digest=bytes(20)))], []),
        lock.settle([Committed(bytes(32), Marker(event_id(1)[:-1], bytes(32), ""))], []),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match="wrong length"):
            await call


async def test_there_are_never_more_than_8_connections(open_lock: OpenLock, admin: Redis) -> None:
    lock = open_lock(**UNHURRIED)
    before = (await admin.info("clients"))["connected_clients"]
    await asyncio.gather(*(lock.acquire([token_bytes(32)]) for _ in range(200)))
    assert (await admin.info("clients"))["connected_clients"] - before == 8


async def test_nothing_connects_before_the_first_call_nor_after_the_end(open_lock: OpenLock, admin: Redis) -> None:
    before = (await admin.info("stats"))["total_connections_received"]
    lock = open_lock(**UNHURRIED)
    assert (await admin.info("stats"))["total_connections_received"] == before
    assert await lock.probe.check() > 0
    await lock.close()
    assert "closed" in await unavailable_within(SOON_SECONDS, lock.acquire([token_bytes(32)]))
    assert (await admin.info("stats"))["total_connections_received"] == before + 1


async def test_a_killed_server_is_unavailable_within_the_budget(server: RedisServer, open_lock: OpenLock) -> None:
    lock = open_lock()
    key = token_bytes(32)
    await lock.acquire([key])
    server.kill()
    for call in (lock.acquire([key]), lock.settle([], [key]), lock.probe.check()):
        text = await unavailable_within(SOON_SECONDS, call)
        assert f"127.0.0.1:{server.port}" in text
        assert "start it" in text
        assert PASSWORD not in text


async def test_a_server_that_answers_but_takes_no_lock_is_not_well(open_lock: OpenLock, admin: Redis) -> None:
    lock = open_lock(**UNHURRIED)
    await admin.config_set("maxmemory", 1)
    await admin.ping()
    assert "refused a command" in await unavailable_within(SOON_SECONDS, lock.probe.check())
    await admin.config_set("maxmemory", 0)
    assert await lock.probe.check() > 0


async def test_a_restarted_server_works_again_at_once(server: RedisServer, open_lock: OpenLock) -> None:
    """Not one call fails for a connection that died with the old server."""
    lock = open_lock(**UNHURRIED)
    for _ in range(3):
        await asyncio.gather(*(lock.acquire([token_bytes(32)]) for _ in range(20)))
        await asyncio.to_thread(server.restart)
        assert list(await lock.acquire([token_bytes(32)])) == [HELD]
        await lock.settle([], [token_bytes(32)])


@pytest.mark.parametrize("options", ["", "?socket_timeout=60&socket_connect_timeout=60&retry_on_timeout=true"])
async def test_a_frozen_server_is_unavailable_within_the_budget(
    server: RedisServer, open_lock: OpenLock, options: str
) -> None:
    """By an open connection and by a new one, also for those who wait for a free one, whatever the URL would have."""
    known, fresh = open_lock(server.url + options), open_lock(server.url + options)
    key = token_bytes(32)
    await known.acquire([key])
    server.freeze()
    for lock in (known, fresh):
        texts = await asyncio.gather(*(unavailable_within(SOON_SECONDS, lock.acquire([key])) for _ in range(50)))
        assert all("did not answer within 0.2 s" in text for text in texts)
        await unavailable_within(SOON_SECONDS, lock.settle([], [key]))
        await unavailable_within(SOON_SECONDS, lock.probe.check())


async def test_nothing_is_left_open_towards_a_frozen_server(server: RedisServer, open_lock: OpenLock) -> None:
    """Not even where more was to be sent than the sockets take: what nobody reads is thrown away."""
    lock = open_lock()
    open_before = psutil.Process().num_fds()
    await lock.acquire([token_bytes(32)])
    server.freeze()
    huge = Committed(token_bytes(32), Marker(event_id(1), bytes(32), "x" * 30_000_000))
    for _ in range(3):
        await unavailable_within(1, lock.settle([huge], []))
    await asyncio.sleep(0)  # the transports close their sockets in the loop's next round
    assert psutil.Process().num_fds() <= open_before


async def test_when_one_connection_fails_the_idle_ones_are_closed_with_it(
    server: RedisServer, open_lock: OpenLock, admin: Redis
) -> None:
    """They are most likely cut off as well, and each would cost another budget to find out."""
    lock = open_lock()
    alone = (await admin.info("clients"))["connected_clients"]
    await asyncio.gather(*(lock.acquire([token_bytes(32)]) for _ in range(8)))
    assert (await admin.info("clients"))["connected_clients"] == alone + 8
    server.freeze()
    await unavailable_within(SOON_SECONDS, lock.acquire([token_bytes(32)]))
    server.thaw()

    async def all_are_closed() -> bool:
        return bool((await admin.info("clients"))["connected_clients"] == alone)

    await until(all_are_closed)


async def test_a_thawed_server_answers_each_question_with_its_own_answer(
    server: RedisServer, open_lock: OpenLock
) -> None:
    """Answers that come after their callers have given up are read by nobody."""
    markers = marked(300)
    lock = open_lock(operation_seconds=0.05)
    await leave(open_lock(**UNHURRIED), markers)
    known = list(markers)
    outcomes = {"answered": 0, "unavailable": 0}
    done = asyncio.Event()

    async def ask(seed: int) -> None:
        random = Random(seed)
        while not done.is_set():
            asked = random.sample(known, random.randint(1, 20))
            try:
                answers = await lock.acquire(asked)
            except Unavailable:
                outcomes["unavailable"] += 1
            else:
                outcomes["answered"] += 1
                assert list(answers) == [markers[key] for key in asked]

    async def count(what: str, more: int) -> None:
        target = outcomes[what] + more

        async def enough() -> bool:
            return outcomes[what] >= target

        await until(enough)

    async with asyncio.TaskGroup() as callers:
        for seed in range(24):
            callers.create_task(ask(seed))
        for _ in range(8):
            await count("answered", 50)
            server.freeze()
            await count("unavailable", 30)
            server.thaw()
        await count("answered", 200)
        done.set()


async def test_a_cancelled_call_leaves_no_answer_behind(open_lock: OpenLock) -> None:
    """Cancelled at any moment, it costs the others neither a connection nor their own answers."""
    markers = marked(64)
    lock = open_lock(**UNHURRIED)
    await leave(lock, markers)
    known = list(markers)
    for seed in range(40):
        calls = [asyncio.create_task(lock.acquire([key])) for key in known]
        for _ in range(seed % 20):
            await asyncio.sleep(0)
        doomed = set(Random(seed).sample(range(64), 20))
        for place in doomed:
            calls[place].cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for place, (key, answer) in enumerate(zip(known, answers, strict=True)):
            if place in doomed and isinstance(answer, asyncio.CancelledError):
                continue
            assert answer == [markers[key]]
    assert list(await lock.acquire(known)) == list(markers.values())


async def test_a_wrong_password_is_called_by_name_and_not_repeated(server: RedisServer, open_lock: OpenLock) -> None:
    lock = open_lock(server.url.replace(PASSWORD, "hunter2"), **UNHURRIED)
    with pytest.raises(Unavailable, match="refused the user or password") as caught:
        await lock.acquire([token_bytes(32)])
    assert f"127.0.0.1:{server.port}" in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in repr(error)
        error = error.__cause__ or error.__context__


async def test_a_server_that_refuses_to_write_is_unavailable(open_lock: OpenLock, admin: Redis) -> None:
    """A replica, say, after the address moved on; once it is a primary again, all is well."""
    lock = open_lock(**UNHURRIED)
    await lock.acquire([token_bytes(32)])
    await admin.replicaof("127.0.0.1", 1)
    text = await unavailable_within(5, lock.acquire([token_bytes(32)]))
    assert "refused a command" in text
    assert "read only replica" in text
    await admin.replicaof("NO", "ONE")
    assert list(await lock.acquire([token_bytes(32)])) == [HELD]


@pytest.mark.parametrize(
    "url",
    [
        "http://:hunter2@localhost:6379",
        "redis://:hunter2/x@localhost:6379/0",
        "redis://:hunter2@localhost:port/0",
        "redis://:hunter2@localhost:6379/0?color=red",
        "unix://:hunter2@/tmp/redis.sock",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_at_once_and_not_repeated(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        RedisIdempotencyLock(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__
