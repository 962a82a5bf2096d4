"""What only Postgres can say: versions, other versions' rows, and failures."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from app.adapters.postgres.connections import Budget, Connections
from app.adapters.postgres.source_registry import LOCK, PostgresSourceRegistry
from app.core.domain.errors import Unavailable
from app.core.domain.source import OwnScheme, Source
from app.core.policies.cached_sources import CachedSources
from tests.conftest import PATIENT

DEMO = Source(name="demo", provider="hmac", verify=OwnScheme.of(header="x-signature"), secrets=("env:DEMO",))


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[PostgresSourceRegistry]:
    connections = Connections(database_url, budget=PATIENT, largest=4)
    yield PostgresSourceRegistry(connections)
    await connections.close()


async def version(database: Any) -> int:
    found: int = await database.fetchval("SELECT version FROM sources WHERE name = 'demo'")
    return found


async def test_the_version_goes_up_only_when_the_source_really_changes(
    registry: PostgresSourceRegistry, database: Any
) -> None:
    await registry.apply([DEMO])
    await registry.apply([DEMO])
    await registry.apply([replace(DEMO, secrets=("env:NEW",))], dry_run=True)
    assert await version(database) == 1
    await registry.apply([replace(DEMO, secrets=("env:NEW",))])
    assert await version(database) == 2


async def test_concurrent_applies_come_one_after_the_other(registry: PostgresSourceRegistry, database: Any) -> None:
    variants = [replace(DEMO, secrets=(f"env:S{number}",)) for number in range(4)]
    changes = await asyncio.gather(*(registry.apply([variant]) for variant in variants))
    assert sorted(change for (change,) in changes) == ["changed", "changed", "changed", "created"]
    assert await version(database) == 4


async def test_an_apply_that_never_ends_makes_the_next_one_unavailable_and_not_wait(
    database_url: str, database: Any
) -> None:
    connections = Connections(database_url, budget=replace(PATIENT, lock_seconds=0.1), largest=1)
    registry = PostgresSourceRegistry(connections)
    async with database.transaction():
        await database.execute(LOCK)
        with pytest.raises(Unavailable, match="somebody else"):
            await registry.apply([DEMO])
    assert list(await registry.apply([DEMO])) == ["created"]
    await connections.close()


async def write(database: Any, **fields: object) -> None:
    spec = json.loads(await database.fetchval("SELECT spec FROM sources WHERE name = 'demo'"))
    await database.execute("UPDATE sources SET spec = $1 WHERE name = 'demo'", json.dumps({**spec, **fields}))


async def test_fields_that_a_newer_version_added_are_passed_over(
    registry: PostgresSourceRegistry, database: Any
) -> None:
    await registry.apply([DEMO])
    await write(database, rate="50/s", poll={"every": "10s"})
    assert await registry.get("demo") == DEMO
    assert list(await registry.apply([DEMO])) == ["unchanged"]


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
    ],
)
async def test_a_row_that_is_not_understood_is_unavailable_and_never_open_or_unknown(
    registry: PostgresSourceRegistry, database: Any, fields: dict[str, object]
) -> None:
    other = replace(DEMO, name="other")
    await registry.apply([DEMO, other])
    await write(database, **fields)
    for asked in (registry, CachedSources(registry)):
        with pytest.raises(Unavailable, match="another version"):
            await asked.get("demo")
    assert list(await registry.all()) == [other]
    assert list(await registry.apply([DEMO])) == ["changed"]
    assert await registry.get("demo") == DEMO


async def test_without_postgres_everything_is_unavailable_and_nothing_unknown() -> None:
    registry = PostgresSourceRegistry(Connections("postgresql://nobody@127.0.0.1:1/none", budget=Budget(), largest=1))
    with pytest.raises(Unavailable):
        await registry.get("demo")
    with pytest.raises(Unavailable):
        await registry.all()
    for dry_run in (True, False):
        with pytest.raises(Unavailable):
            await registry.apply([DEMO], dry_run=dry_run)


async def test_a_look_that_takes_too_long_is_unavailable(database_url: str, database: Any) -> None:
    connections = Connections(database_url, budget=replace(PATIENT, call_seconds=0.2), largest=1)
    registry = PostgresSourceRegistry(connections)
    async with database.transaction():
        await database.execute("LOCK TABLE sources")
        with pytest.raises(Unavailable):
            await registry.all()
    await connections.close()
