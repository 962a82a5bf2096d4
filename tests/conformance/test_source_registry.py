"""What every source registry keeps to: the one in memory, the one in Postgres, and the policies in front of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.adapters.memory.registrations import MemoryRegistrations
from app.adapters.memory.source_registry import MemorySourceRegistry
from app.adapters.postgres.connections import Connections
from app.adapters.postgres.source_registry import PostgresSourceRegistry
from app.core.domain.source import OwnScheme, Place, Source
from app.core.policies.cached_sources import CachedSources
from app.core.policies.registering_sources import RegisteringSources
from app.core.ports.source_registry import SourceRegistry
from tests.conftest import PATIENT
from tests.registering import ASANA

PLAIN = Source(name="salesforce", provider="salesforce", verify=None)
FULL = Source(
    name="demo",
    provider="hmac",
    verify=OwnScheme.of(header="x-signature", prefix="sha256=", encoding="base64"),
    secrets=("file:secrets/demo", "env:OLD_DEMO"),
    expiries=(("env:OLD_DEMO", datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)),),
    tolerance_seconds=90.5,
    settings=(("bundle_id", "com.example"), ("verify_token", "env:VERIFY")),
    schema='{"type":"object"}',
    rate_per_second=12.5,
    delivery_key=Place("body", "data.\"id\" || join('-', [a, `1`])"),
    type=Place("header", "x-type"),
    body_limit_bytes=5_000_000,
    public_url="https://hooks.example.com/api/v1/webhooks/demo",
)


@asynccontextmanager
async def in_postgres(url: str) -> AsyncIterator[SourceRegistry]:
    connections = Connections(url, budget=PATIENT, largest=4)
    try:
        yield PostgresSourceRegistry(connections)
    finally:
        await connections.close()


@pytest.fixture(
    params=[f"{policy}{kind}" for policy in ("", "cached ", "registering ") for kind in ("memory", "postgres")]
)
async def registry(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[SourceRegistry]:
    kind = request.param
    async with in_postgres(database_url) if "postgres" in kind else nullcontext(MemorySourceRegistry()) as inner:
        if "registering" in kind:
            yield RegisteringSources(inner, MemoryRegistrations())
        else:
            yield CachedSources(inner) if "cached" in kind else inner


async def test_at_first_there_is_none(registry: SourceRegistry) -> None:
    assert await registry.get("demo") is None
    assert list(await registry.all()) == []


@pytest.mark.parametrize("source", [PLAIN, FULL, ASANA], ids=["plain", "full", "registered"])
async def test_what_was_applied_is_given_back_field_by_field(registry: SourceRegistry, source: Source) -> None:
    assert list(await registry.apply([source])) == ["created"]
    assert await registry.get(source.name) == source
    assert list(await registry.all()) == [source]


async def test_all_are_ordered_by_name_whatever_the_order_they_came_in(registry: SourceRegistry) -> None:
    names = ["b", "a_b", "a-b", "a0", "ab", "a"]
    await registry.apply([replace(PLAIN, name=name) for name in names])
    assert [source.name for source in await registry.all()] == sorted(names)


async def test_each_source_is_said_to_be_created_changed_or_unchanged_in_the_order_given(
    registry: SourceRegistry,
) -> None:
    await registry.apply([PLAIN, FULL])
    changed = replace(FULL, secrets=("file:secrets/demo",))
    new = replace(PLAIN, name="new")
    assert list(await registry.apply([new, changed, PLAIN])) == ["created", "changed", "unchanged"]
    assert await registry.get("demo") == changed


async def test_applying_the_same_again_changes_nothing(registry: SourceRegistry) -> None:
    await registry.apply([PLAIN, FULL])
    assert list(await registry.apply([PLAIN, FULL])) == ["unchanged", "unchanged"]


async def test_what_is_not_named_stays(registry: SourceRegistry) -> None:
    await registry.apply([PLAIN])
    await registry.apply([FULL])
    assert await registry.get(PLAIN.name) == PLAIN


async def test_applying_nothing_does_nothing(registry: SourceRegistry) -> None:
    assert list(await registry.apply([])) == []


async def test_a_dry_run_says_the_same_and_writes_nothing(registry: SourceRegistry) -> None:
    await registry.apply([FULL])
    changed = replace(FULL, provider="other")
    assert list(await registry.apply([PLAIN, changed], dry_run=True)) == ["created", "changed"]
    assert list(await registry.all()) == [FULL]
    assert await registry.get(PLAIN.name) is None


@pytest.mark.parametrize("name", ["", "nul\0", "Ünknown", "a" * 5000, "../etc", "\ud800"])
async def test_a_name_that_no_source_can_have_is_simply_not_there(registry: SourceRegistry, name: str) -> None:
    assert await registry.get(name) is None


async def test_of_many_who_apply_the_same_new_source_at_once_one_creates_it(registry: SourceRegistry) -> None:
    changes = await asyncio.gather(*(registry.apply([PLAIN]) for _ in range(4)))
    assert sorted(change for (change,) in changes) == ["created", "unchanged", "unchanged", "unchanged"]
