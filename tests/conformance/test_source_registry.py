"""What every source registry keeps to: the one in memory, the one in Postgres, and the policies in front of them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.core.domain.source import OwnScheme, Place, Source
from tests.conformance.configured import KINDS, Configured, configured
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
    run="sink.post",
)


@pytest.fixture(params=KINDS)
async def kept(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Configured]:
    async with configured(request.param, database_url) as made:
        yield made


async def test_at_first_there_is_none(kept: Configured) -> None:
    assert await kept.sources.get("demo") is None
    assert list(await kept.sources.all()) == []


@pytest.mark.parametrize("source", [PLAIN, FULL, ASANA], ids=["plain", "full", "registered"])
async def test_what_was_applied_is_given_back_field_by_field(kept: Configured, source: Source) -> None:
    assert await kept.configuration.apply([source]) == (["created"], [])
    assert await kept.sources.get(source.name) == source
    assert list(await kept.sources.all()) == [source]


async def test_all_are_ordered_by_name_whatever_the_order_they_came_in(kept: Configured) -> None:
    names = ["b", "a_b", "a-b", "a0", "ab", "a"]
    await kept.configuration.apply([replace(PLAIN, name=name) for name in names])
    assert [source.name for source in await kept.sources.all()] == sorted(names)


@pytest.mark.parametrize("name", ["", "nul\0", "Ünknown", "a" * 5000, "../etc", "\ud800"])
async def test_a_name_that_no_source_can_have_is_simply_not_there(kept: Configured, name: str) -> None:
    assert await kept.sources.get(name) is None
