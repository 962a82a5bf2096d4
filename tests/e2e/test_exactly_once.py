"""Nothing acknowledged is lost, nothing is kept twice: whole processes, real sockets, real servers, kill -9."""

import asyncio
from hashlib import sha256

import asyncpg

from app.core.domain.delivery_key import delivery_key
from tests.conftest import Servers
from tests.e2e.api import Api, until
from tests.e2e.conftest import BOTH_WAYS, rows
from tests.e2e.ledger import assert_ledger
from tests.e2e.sender import Sent, acknowledged, deliveries, send_all

pytestmark = BOTH_WAYS


async def test_two_thousand_events_sent_three_times_are_kept_once(api: Api) -> None:
    """2,000 rows; the 4,000 others are answered as duplicates with the first one's id, and counted within a second."""
    work = deliveries(2_000)
    three_times = [sent for sent in work for _ in range(3)]
    await send_all(api.port, three_times, connections=50)
    await assert_ledger(api.database_url, work)
    statuses = [status for sent in work for status, _ in sent.answers]
    assert (statuses.count(202), statuses.count(200)) == (2_000, 4_000)

    async def counted() -> int:
        (row,) = await rows(api.database_url, "SELECT coalesce(sum(duplicates), 0) FROM event_states")
        return int(row[0])

    deadline = asyncio.get_running_loop().time() + 1
    while await counted() != 4_000 and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.05)
    assert await counted() == 4_000


async def test_a_burst_survives_kill_9_of_the_api(api: Api) -> None:
    """Killed three times in the middle; whatever was acknowledged is there, and a resend completes the rest."""
    work = deliveries(3_000)
    for part in range(3):
        sending = asyncio.create_task(send_all(api.port, work[part * 1000 : part * 1000 + 1000]))
        enough = part * 1000 + 200
        await acknowledged(work, enough)
        assert api.process is not None
        api.process.kill()
        await sending
        api.process.wait(10)
        await assert_ledger(api.database_url, work)
        await asyncio.to_thread(api.start)
    assert any(not sent.acknowledged for sent in work), "the kills came too late to show anything"
    await send_all(api.port, [sent for sent in work if not sent.acknowledged])
    assert all(sent.acknowledged for sent in work)
    await assert_ledger(api.database_url, work)


async def test_a_burst_survives_kill_9_of_postgres(own_api: Api, own_servers: Servers) -> None:
    """What was acknowledged was flushed; the rest is refused with 503 and kept when it is sent again."""
    work = deliveries(4_000)
    sending = asyncio.create_task(send_all(own_api.port, work))
    await acknowledged(work, 500)
    await asyncio.to_thread(own_servers.postgres.kill)
    await sending
    await asyncio.to_thread(own_servers.postgres.start)
    await assert_ledger(own_api.database_url, work)
    lost = [sent for sent in work if not sent.acknowledged]
    assert lost, "the kill came too late to show anything"
    assert max(sent.slowest_seconds for sent in work) < 2
    await asyncio.to_thread(until, lambda: own_api.get("/api/v1/health/ready").status_code == 200, 5)
    await send_all(own_api.port, lost)
    assert all(sent.acknowledged for sent in work)
    await assert_ledger(own_api.database_url, work)


async def test_a_burst_survives_a_redis_that_is_flushed_and_restarted(own_api: Api, own_servers: Servers) -> None:
    """Every delivery twice, while the shield's memory is wiped again and again: no row more, no row less."""
    work = deliveries(1_500)
    sending = asyncio.create_task(send_all(own_api.port, [*work, *work]))
    for number in range(6):
        if sending.done():
            break
        await asyncio.to_thread(own_servers.redis.kill if number % 2 else own_servers.redis.stop)
        await asyncio.to_thread(own_servers.redis.start)
    await sending
    assert all(sent.acknowledged and len(sent.answers) == 2 for sent in work)
    assert {status for sent in work for status, _ in sent.answers} == {200, 202}
    await assert_ledger(own_api.database_url, work)


async def test_a_storm_on_one_key_makes_one_row(api: Api) -> None:
    """A thousand times the same delivery at once: one acceptance, and few connections used by it."""
    (storm,) = deliveries(1, "storm")
    await send_all(api.port, [storm] * 1_000, connections=100)
    statuses = [status for status, _ in storm.answers]
    assert (statuses.count(202), statuses.count(200)) == (1, 999)
    await assert_ledger(api.database_url, [storm])


async def test_a_poisonous_row_does_not_fail_its_neighbours(api: Api) -> None:
    """The database refuses one body; all others of its batches are kept."""
    await rows(
        api.database_url,
        """
        CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'poison'; END $$
        """,
    )
    await rows(
        api.database_url,
        """
        CREATE TRIGGER refuse_poison BEFORE INSERT ON events FOR EACH ROW
        WHEN (position('poison'::bytea IN NEW.body) > 0) EXECUTE FUNCTION refuse_poison()
        """,
    )
    work = deliveries(300)
    poison = [Sent(f"poison-{number}", b'{"poison":%d}' % number) for number in range(3)]
    mixed = [*work[:100], poison[0], *work[100:200], poison[1], *work[200:], poison[2]]
    await send_all(api.port, mixed, connections=60)
    assert all(sent.answers[0][0] == 202 for sent in work)
    assert all(sent.answers[0][0] == 503 for sent in poison)
    await assert_ledger(api.database_url, mixed)


async def test_a_blocked_row_does_not_hold_its_neighbours_up(api: Api) -> None:
    """Another session has inserted one key and does not end its transaction: only that key's delivery waits."""
    work = deliveries(200)
    blocked = Sent("blocked", b"{}")
    connection = await asyncpg.connect(api.database_url)
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(
            "INSERT INTO delivery_keys VALUES ($1, gen_random_uuid(), $2, now())",
            delivery_key("demo", b"blocked"),
            sha256(b"{}").digest(),
        )
        mixed = [*work[:100], blocked, *work[100:]]
        await send_all(api.port, mixed, connections=60)
    finally:
        await transaction.rollback()
        await connection.close()
    assert all(sent.answers[0][0] == 202 for sent in work)
    assert blocked.answers[0][0] == 503
    assert max(sent.slowest_seconds for sent in mixed) < 2
    await send_all(api.port, [blocked])
    assert blocked.answers[1][0] == 202
    await assert_ledger(api.database_url, mixed)
