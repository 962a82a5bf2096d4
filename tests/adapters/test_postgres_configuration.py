"""What only Postgres can say: versions, one transaction, other versions' rows, and failures."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from app.adapters.postgres.configuration import LOCK, PostgresConfiguration
from app.adapters.postgres.connections import Budget, Connections
from app.adapters.postgres.registries import PostgresConnectionRegistry, PostgresSourceRegistry
from app.core.domain.connection import Connection
from app.core.domain.errors import Unavailable
from app.core.domain.source import OwnScheme, Source
from app.core.policies.cached_connections import CachedConnections
from app.core.policies.cached_sources import CachedSources
from tests.conftest import PATIENT

DEMO = Source(name="demo", provider="hmac", verify=OwnScheme.of(header="x-signature"), secrets=("env:DEMO",))
SINK = Connection("sink", "http", {"base_url": "http://localhost:8101"}, (("token", "env:SINK"),), ("localhost",))


@dataclass
class Kept:
    connections: Connections

    def __post_init__(self) -> None:
        self.configuration = PostgresConfiguration(self.connections)
        self.sources = PostgresSourceRegistry(self.connections)
        self.connected = PostgresConnectionRegistry(self.connections)
        self.apply = self.configuration.apply


@pytest.fixture
def database_url(emptied_database: str) -> str:
    """One for all of them: nobody changes the schema."""
    return emptied_database


@pytest.fixture
async def kept(database_url: str) -> AsyncIterator[Kept]:
    connections = Connections(database_url, budget=PATIENT, largest=4)
    yield Kept(connections)
    await connections.close()


async def version(database: Any) -> tuple[int, int]:
    return (
        await database.fetchval("SELECT version FROM sources WHERE name = 'demo'"),
        await database.fetchval("SELECT version FROM connections WHERE name = 'sink'"),
    )


async def test_the_version_goes_up_only_when_something_really_changes(kept: Kept, database: Any) -> None:
    new, moved = replace(DEMO, secrets=("env:NEW",)), replace(SINK, allow_private=())
    await kept.apply([DEMO], [SINK])
    await kept.apply([DEMO], [SINK])
    await kept.apply([new], [moved], dry_run=True)
    assert await version(database) == (1, 1)
    await kept.apply([new], [SINK])
    assert await version(database) == (2, 1)
    await kept.apply([new], [moved])
    assert await version(database) == (2, 2)


async def test_concurrent_applies_come_one_after_the_other(kept: Kept, database: Any) -> None:
    variants = [
        (replace(DEMO, secrets=(f"env:S{number}",)), replace(SINK, settings={"n": number})) for number in range(4)
    ]
    applied = await asyncio.gather(*(kept.apply([source], [connection]) for source, connection in variants))
    for changes in ([one.sources for one in applied], [one.connections for one in applied]):
        assert sorted(change for (change,) in changes) == ["changed", "changed", "changed", "created"]
    assert await version(database) == (4, 4)


@pytest.mark.parametrize("table", ["sources", "connections"])
async def test_when_one_kind_cannot_be_written_neither_is(kept: Kept, database: Any, table: str) -> None:
    await database.execute(f"ALTER TABLE {table} ADD CONSTRAINT neither CHECK (name NOT IN ('demo', 'sink'))")
    try:
        with pytest.raises(Unavailable):
            await kept.apply([DEMO], [SINK])
    finally:
        await database.execute(f"ALTER TABLE {table} DROP CONSTRAINT neither")
    assert (await kept.sources.all(), await kept.connected.all()) == ([], [])


async def test_an_apply_that_never_ends_makes_the_next_one_unavailable_and_not_wait(
    database_url: str, database: Any
) -> None:
    connections = Connections(database_url, budget=replace(PATIENT, lock_seconds=0.1), largest=1)
    configuration = PostgresConfiguration(connections)
    async with database.transaction():
        await database.execute(LOCK)
        with pytest.raises(Unavailable, match="somebody else"):
            await configuration.apply([DEMO])
    assert await configuration.apply([DEMO]) == (["created"], [])
    await connections.close()


async def write(database: Any, table: str, **fields: object) -> None:
    spec = json.loads(await database.fetchval(f"SELECT spec FROM {table} WHERE name IN ('demo', 'sink')"))
    await database.execute(
        f"UPDATE {table} SET spec = $1 WHERE name IN ('demo', 'sink')", json.dumps({**spec, **fields})
    )


async def test_fields_that_a_newer_version_added_are_passed_over(kept: Kept, database: Any) -> None:
    await kept.apply([DEMO], [SINK])
    await write(database, "sources", rate="50/s", poll={"every": "10s"})
    await write(database, "connections", limits={"rate": "50/s"})
    assert (await kept.sources.get("demo"), await kept.connected.get("sink")) == (DEMO, SINK)
    assert await kept.apply([DEMO], [SINK]) == (["unchanged"], ["unchanged"])


async def test_a_source_of_a_version_that_knew_no_connections_runs_nothing(kept: Kept, database: Any) -> None:
    await kept.apply([replace(DEMO, run="sink.post")])
    await database.execute("UPDATE sources SET spec = (spec::jsonb - 'run')::json")
    assert await kept.sources.get("demo") == DEMO


@pytest.mark.parametrize(
    "fields",
    [
        {"verify": {"scheme": "ed25519", "header": "x-signature", "prefix": "", "encoding": "hex"}},
        {"verify": {"scheme": "hmac-sha256", "header": "x", "prefix": "", "encoding": "hex", "signs": "url"}},
        {"verify": {"scheme": "hmac-sha256"}},
        {"verify": None},
        {"verify": False},
        {"delivery_key": "query:id"},
        {"secrets": None},
        {"run": {"flow": "welcome"}},
    ],
)
async def test_a_source_that_is_not_understood_is_unavailable_and_never_open_or_unknown(
    kept: Kept, database: Any, fields: dict[str, object]
) -> None:
    other = replace(DEMO, name="other")
    await kept.apply([DEMO, other])
    await write(database, "sources", **fields)
    for asked in (kept.sources, CachedSources(kept.sources)):
        with pytest.raises(Unavailable, match="another version"):
            await asked.get("demo")
    assert list(await kept.sources.all()) == [other]
    assert await kept.apply([DEMO]) == (["changed"], [])
    assert await kept.sources.get("demo") == DEMO


@pytest.mark.parametrize(
    "fields",
    [{"settings": []}, {"settings": [["a", 1]]}, {"secrets": {"token": 5}}, {"allow_private": None}, {"connector": 1}],
)
async def test_a_connection_that_is_not_understood_is_unavailable_and_never_unknown(
    kept: Kept, database: Any, fields: dict[str, object]
) -> None:
    other = replace(SINK, name="other")
    await kept.apply([], [SINK, other])
    await write(database, "connections", **fields)
    for asked in (kept.connected, CachedConnections(kept.connected)):
        with pytest.raises(Unavailable, match="another version"):
            await asked.get("sink")
    assert list(await kept.connected.all()) == [other]
    assert await kept.apply([], [SINK]) == ([], ["changed"])
    assert await kept.connected.get("sink") == SINK


async def test_without_postgres_everything_is_unavailable_and_nothing_unknown() -> None:
    kept = Kept(Connections("postgresql://nobody@127.0.0.1:1/none", budget=Budget(), largest=1))
    for registry in (kept.sources, kept.connected):
        with pytest.raises(Unavailable):
            await registry.get("demo")
        with pytest.raises(Unavailable):
            await registry.all()
    for dry_run in (True, False):
        with pytest.raises(Unavailable):
            await kept.apply([DEMO], [SINK], dry_run=dry_run)


async def test_a_look_that_takes_too_long_is_unavailable(database_url: str, database: Any) -> None:
    connections = Connections(database_url, budget=replace(PATIENT, call_seconds=0.2), largest=1)
    kept = Kept(connections)
    async with database.transaction():
        await database.execute("LOCK TABLE sources")
        with pytest.raises(Unavailable):
            await kept.sources.all()
    await connections.close()
