"""Real servers for every test."""

from collections.abc import Iterator

import pytest

from tests.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The shared Redis-compatible server; keys are random enough not to meet."""
    with RedisServer() as server:
        yield server.url
