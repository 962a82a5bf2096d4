"""Serving with the least rights: the role of deploy/postgres/grants.sql can do all that it must, and nothing beyond."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from app.adapters.postgres.api_keys import PostgresApiKeys
from app.adapters.postgres.audit_log import PostgresAuditLog
from app.adapters.postgres.configuration import PostgresConfiguration
from app.adapters.postgres.connections import Connections
from app.adapters.postgres.engine import make_engine
from app.adapters.postgres.event_store import PostgresEventStore
from app.adapters.postgres.registrations import PostgresRegistrations
from app.adapters.postgres.registries import PostgresConnectionRegistry, PostgresSourceRegistry
from app.adapters.postgres.replay_watch import LOOKS, ReplayWatch
from app.adapters.postgres.upkeep import Upkeep
from app.core.domain.api_key import NewApiKey, Scope
from app.core.domain.audit import Action
from app.core.domain.connection import Connection
from app.core.domain.errors import Unavailable
from app.core.domain.ids import api_key_id, event_id
from app.core.domain.sealed import Sealed
from app.core.domain.source import Source
from tests.conformance.stores import append, new_event
from tests.conftest import PATIENT, Servers
from tests.e2e.api import Api, serving, until
from tests.operators import ADA

ROLE = "serving_with_the_least"
SEALED = Sealed("0123456789abcdef", b"sealed")
SOURCE = {"name": "open", "provider": "test", "verify": "none", "delivery_key": "header:X-Delivery-Id"}

FORBIDDEN = [
    "UPDATE events SET body = ''",
    "DELETE FROM events",
    "TRUNCATE events",
    "DELETE FROM event_states",
    "UPDATE delivery_keys SET digest = ''",
    "UPDATE body_digests SET event_id = gen_random_uuid()",
    "UPDATE replay_looks SET name = 'mine'",
    "DELETE FROM replay_looks",
    "UPDATE conflicts SET body = ''",
    "UPDATE refusals SET body = ''",
    "TRUNCATE refusals",
    "INSERT INTO registrations (source, opened_at) VALUES ('open', now())",
    "UPDATE registrations SET opened_at = now()",
    "UPDATE registered_secrets SET sealed = ''",
    "DELETE FROM registered_secrets",
    "UPDATE api_keys SET scope = 'admin'",
    "UPDATE api_keys SET expires_at = NULL",
    "DELETE FROM api_keys",
    "UPDATE audit_log SET actor = 'open'",
    "DELETE FROM audit_log",
    "TRUNCATE audit_log",
    "INSERT INTO sources (name, spec) VALUES ('mine', '{}')",
    "UPDATE connections SET spec = '{}'",
    "UPDATE alembic_version SET version_num = '0000'",
    "CREATE TABLE mine (id int)",
    "ALTER TABLE events ADD mine int",
    "DROP TABLE inbox",
    f"SELECT * FROM events_{date.today():%Y%m%d}",  # noqa: DTZ011 (the day before would do as well)
]


@pytest.fixture
def database_url(emptied_database: str, granted: None) -> str:
    """One for all of them: who serves cannot change the schema, but for days that are made and harm nobody."""
    return emptied_database


@pytest.fixture(scope="module")
async def granted(servers: Servers, one_database: str, repository: Path) -> None:
    """The serving role with its rights."""
    superuser = await asyncpg.connect(servers.postgres.superuser_url("postgres"))
    try:
        await superuser.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'x'")
    finally:
        await superuser.close()
    owner = await asyncpg.connect(one_database)
    try:
        await owner.execute((repository / "deploy/postgres/grants.sql").read_text().replace(':"serving"', ROLE))
    finally:
        await owner.close()


@pytest.fixture
def serving_url(database_url: str) -> str:
    """The database as the serving role reaches it."""
    return f"postgresql://{ROLE}:x@{database_url.rpartition('@')[2]}"


@pytest.fixture
def api(database_url: str, serving_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    """A process that serves as that role; its source was applied by the role that migrates."""
    Api(database_url, None, tmp_path / "api.log").apply(SOURCE)
    with serving(serving_url, redis_url, tmp_path) as running:
        yield running


async def test_it_takes_in_counts_and_shows_and_is_ready(api: Api) -> None:
    """New events, duplicates, other bytes under a known key, lists, health; and its duties complain of nothing."""
    assert api.get("/api/v1/health").json()["status"] == "healthy"
    first = api.post("/api/v1/webhooks/open", b"one", X_Delivery_Id="1")
    assert first.status_code == 202
    event_id = first.json()["event_id"]
    for body in (b"one", b"other"):
        assert api.post("/api/v1/webhooks/open", body, X_Delivery_Id="1").status_code == 200

    def counts() -> tuple[int, int]:
        shown = api.get(f"/api/v1/events/{event_id}").json()
        return shown["duplicates"], shown["conflicts"]

    until(lambda: counts() == (2, 1), 3, "the count of both")
    assert api.get(f"/api/v1/events/{event_id}/body").content == b"one"
    assert [event["id"] for event in api.get("/api/v1/events").json()["items"]] == [event_id]
    assert not api.lines("upkeep.failed")


async def test_it_makes_days_and_forgets_keys(serving_url: str) -> None:
    """What upkeep does, on its own: the partitions belong to the role that migrates."""
    connection = await asyncpg.connect(serving_url)
    try:
        far = date.today() + timedelta(days=25)  # noqa: DTZ011 (near enough)
        assert await connection.fetchval("SELECT opsconnect_make_event_days($1, 1)", far) == 3
        assert await connection.execute("DELETE FROM delivery_keys WHERE received_at < now()") == "DELETE 0"
    finally:
        await connection.close()


async def test_it_keeps_a_secret_that_is_expected_and_opens_no_registration(
    database_url: str, serving_url: str
) -> None:
    """Which the role that migrates does; then the secret comes, where webhooks are served."""
    async with AsyncExitStack() as stack:
        connections = [Connections(url, budget=PATIENT, largest=1) for url in (database_url, serving_url)]
        for each in connections:
            stack.push_async_callback(each.close)
        await PostgresConfiguration(connections[0]).apply([Source("asana", "asana", verify=None)])
        owner, serving = map(PostgresRegistrations, connections)
        assert not await serving.keep("asana", SEALED)
        with pytest.raises(Unavailable, match="the role lacks a right"):
            await serving.open("asana")
        await owner.open("asana")
        assert await serving.keep("asana", SEALED)
        assert [kept.sealed for kept in (await serving.look("asana")).secrets] == [SEALED]


async def test_it_sees_sources_and_connections_that_the_other_role_applied(database_url: str, serving_url: str) -> None:
    async with AsyncExitStack() as stack:
        owner, serving = (Connections(url, budget=PATIENT, largest=1) for url in (database_url, serving_url))
        for each in (owner, serving):
            stack.push_async_callback(each.close)
        source, connection = Source("open", "test", verify=None, run="sink.post"), Connection("sink", "http")
        await PostgresConfiguration(owner).apply([source], [connection])
        assert list(await PostgresSourceRegistry(serving).all()) == [source]
        assert list(await PostgresConnectionRegistry(serving).all()) == [connection]
        with pytest.raises(Unavailable, match="the role lacks a right"):
            await PostgresConfiguration(serving).apply([], [Connection("mine", "http")])


async def test_it_watches_for_replays(serving_url: str) -> None:
    connections = Connections(serving_url, budget=PATIENT, largest=2)
    at = datetime.now(UTC) - timedelta(seconds=10)
    events = [new_event(name, id=event_id(int(at.timestamp() * 1e9)), received_at=at) for name in "12"]
    try:
        await append(PostgresEventStore(connections), *events)
        watch = ReplayWatch(connections, lambda: ["demo"])
        assert await watch.look(LOOKS[0]) == 2
        assert watch.suspected == {"demo": 1}
        assert await Upkeep(connections, key_retention_days=0).forget_digests() == 1
    finally:
        await connections.close()


async def test_it_gives_keys_out_takes_them_back_and_writes_that_down(serving_url: str) -> None:
    key = NewApiKey(api_key_id(10**18), "deploy", "oc_", b"digest", Scope.READ, None)
    connections = Connections(serving_url, budget=PATIENT, largest=1)
    engine = make_engine(serving_url, budget=PATIENT, largest=1)
    try:
        keys, audit = PostgresApiKeys(connections, engine), PostgresAuditLog(connections, engine)
        assert (await audit.append(ADA.does(Action.KEY_CREATE, "deploy"))).seq == 1
        assert await keys.create(key)
        await keys.note_uses({key.id: datetime.now(UTC)})
        assert await keys.find(key.digest)
        assert await keys.revoke(key.id)
    finally:
        await connections.close()
        await engine.dispose()


@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_it_may_do_nothing_beyond(serving_url: str, statement: str) -> None:
    """Whoever takes the process over can neither change nor remove what was kept, nor open a source."""
    connection = await asyncpg.connect(serving_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
