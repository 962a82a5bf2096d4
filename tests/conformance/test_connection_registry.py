"""What every connection registry keeps to: the one in memory, the one in Postgres, and the policy in front of them."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from app.core.domain.connection import Connection
from tests.conformance.configured import KINDS, Configured, configured

PLAIN = Connection("queue", "kafka")
FULL = Connection(
    "sink",
    "http",
    {
        "base_url": "http://localhost:8101/ä\0\x1b\ud800",
        "most": 2**80 + 1,
        "least": -(10**4000),
        "ratio": 0.1,
        "whole": 1.0,
        "on": True,
        "off": False,
        "none": None,
        "headers": {"X-A.b": ["1", 1, {"deep": [[]]}], "": {}},
    },
    (("token", "env:SINK_TOKEN"), ("key", "file:/run/secrets/key")),
    ("localhost", "10.1.0.0/16", "fd00:1::/64"),
)


@pytest.fixture(params=[kind for kind in KINDS if "registering" not in kind])
async def kept(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Configured]:
    async with configured(request.param, database_url) as made:
        yield made


async def test_at_first_there_is_none(kept: Configured) -> None:
    assert await kept.connections.get("sink") is None
    assert list(await kept.connections.all()) == []


@pytest.mark.parametrize("connection", [PLAIN, FULL], ids=["plain", "full"])
async def test_what_was_applied_is_given_back_to_the_letter(kept: Configured, connection: Connection) -> None:
    """Compared as text too, for to Python 1, 1.0 and True are equal."""
    await kept.configuration.apply([], [connection])
    for found in (await kept.connections.get(connection.name), *await kept.connections.all()):
        assert found == connection
        assert repr(found) == repr(connection)


async def test_all_are_ordered_by_name_whatever_the_order_they_came_in(kept: Configured) -> None:
    names = ["b", "a_b", "a-b", "a0", "ab", "a"]
    await kept.configuration.apply([], [replace(PLAIN, name=name) for name in names])
    assert [connection.name for connection in await kept.connections.all()] == sorted(names)


@pytest.mark.parametrize("name", ["", "nul\0", "Ünknown", "a" * 5000, "../etc", "\ud800"])
async def test_a_name_that_no_connection_can_have_is_simply_not_there(kept: Configured, name: str) -> None:
    assert await kept.connections.get(name) is None
