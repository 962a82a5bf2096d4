"""What every configuration keeps to: the one in memory, the one in Postgres, and the policies in front of them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from app.core.domain.connection import Connection
from app.core.domain.source import OwnScheme, Source
from tests.conformance.configured import KINDS, Configured, configured
from tests.registering import ASANA

PLAIN = Source(name="salesforce", provider="salesforce", verify=None)
SIGNED = Source(
    "demo", "hmac", OwnScheme.of(header="x-signature"), ("file:secrets/demo", "env:OLD_DEMO"), run="sink.post"
)
SINK = Connection("sink", "http", {"base_url": "http://localhost:8101"}, (("token", "env:SINK"),), ("localhost",))
QUEUE = Connection("queue", "kafka")


@pytest.fixture(params=KINDS)
async def kept(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Configured]:
    async with configured(request.param, database_url) as made:
        yield made


async def everything(kept: Configured) -> list[Source | Connection]:
    return [*await kept.sources.all(), *await kept.connections.all()]


async def test_each_is_said_to_be_created_changed_or_unchanged_in_the_order_given(kept: Configured) -> None:
    assert await kept.configuration.apply([PLAIN, SIGNED], [SINK, QUEUE]) == (["created"] * 2, ["created"] * 2)
    changed, moved = replace(SIGNED, run=None), replace(SINK, settings={"base_url": "http://localhost:8102"})
    new, fresh = replace(PLAIN, name="new"), replace(QUEUE, name="fresh")
    assert await kept.configuration.apply([new, changed, PLAIN], [fresh, QUEUE, moved]) == (
        ["created", "changed", "unchanged"],
        ["created", "unchanged", "changed"],
    )
    assert await kept.sources.get("demo") == changed
    assert await kept.connections.get("sink") == moved


async def test_applying_the_same_again_changes_nothing(kept: Configured) -> None:
    await kept.configuration.apply([PLAIN, SIGNED, ASANA], [SINK, QUEUE])
    assert await kept.configuration.apply([PLAIN, SIGNED, ASANA], [SINK, QUEUE]) == (
        ["unchanged"] * 3,
        ["unchanged"] * 2,
    )


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (0, False), (1, 1.0), ("5", 5), (2**70, float(2**70)), ([1], [True]), ({}, None)]
)
async def test_what_is_equal_to_python_alone_is_a_change_of_settings(
    kept: Configured, one: object, other: object
) -> None:
    await kept.configuration.apply([], [replace(SINK, settings={"a": {"b": one}})])
    after = replace(SINK, settings={"a": {"b": other}})
    assert (await kept.configuration.apply([], [after])).connections == ["changed"]
    found = await kept.connections.get("sink")
    assert found is not None
    assert repr(found.settings) == repr(after.settings)


async def test_settings_in_another_order_are_the_same(kept: Configured) -> None:
    await kept.configuration.apply([], [replace(SINK, settings={"a": 1, "b": 2})])
    assert (await kept.configuration.apply([], [replace(SINK, settings={"b": 2, "a": 1})])).connections == ["unchanged"]


async def test_what_is_not_named_stays(kept: Configured) -> None:
    await kept.configuration.apply([PLAIN], [SINK])
    await kept.configuration.apply([SIGNED])
    await kept.configuration.apply([], [QUEUE])
    assert await everything(kept) == [SIGNED, PLAIN, QUEUE, SINK]


async def test_applying_nothing_does_nothing(kept: Configured) -> None:
    assert await kept.configuration.apply([], []) == ([], [])


async def test_a_source_and_a_connection_of_one_name_are_two_things(kept: Configured) -> None:
    named = replace(SINK, name="demo")
    assert await kept.configuration.apply([SIGNED], [named]) == (["created"], ["created"])
    assert (await kept.sources.get("demo"), await kept.connections.get("demo")) == (SIGNED, named)


async def test_a_dry_run_says_the_same_and_writes_nothing(kept: Configured) -> None:
    await kept.configuration.apply([SIGNED], [SINK])
    changed, moved = replace(SIGNED, provider="other"), replace(SINK, allow_private=())
    assert await kept.configuration.apply([PLAIN, changed], [moved, QUEUE], dry_run=True) == (
        ["created", "changed"],
        ["changed", "created"],
    )
    assert await everything(kept) == [SIGNED, SINK]
    assert await kept.sources.get(PLAIN.name) is None


async def test_of_many_who_apply_the_same_at_once_one_creates_it(kept: Configured) -> None:
    applied = await asyncio.gather(*(kept.configuration.apply([PLAIN], [SINK]) for _ in range(4)))
    for changes in ([one.sources for one in applied], [one.connections for one in applied]):
        assert sorted(change for (change,) in changes) == ["created", "unchanged", "unchanged", "unchanged"]
