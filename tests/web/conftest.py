"""One serving process for all of these, with deadlines short enough to wait for."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.conftest import Servers
from tests.e2e.api import Api, serving
from tests.e2e.conftest import DEMO, OPEN
from tests.e2e.sender import SECRET

SHORT = {
    "OPSCONNECT_SILENT_SOCKET_SECONDS": "0.7",
    "OPSCONNECT_HEADER_RECEIVE_SECONDS": "0.7",
    "OPSCONNECT_BODY_RECEIVE_SECONDS": "3.5",
    "OPSCONNECT_KEEP_ALIVE_SECONDS": "0.7",
    "OPSCONNECT_ANSWER_READ_SECONDS": "1",
    "OPSCONNECT_CONNECTIONS_PER_ADDRESS": "400",
    "OPSCONNECT_TRUSTED_PROXIES": "127.0.0.9, 10.0.0.0/8",
}
LARGE = {"name": "large", "provider": "test", "verify": "none", "body_limit": 25_000_000}


@pytest.fixture(scope="session")
def door(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """`opsconnect serve`, impatient."""
    url = servers.create_database()
    folder = tmp_path_factory.mktemp("door")
    with serving(url, servers.redis.url(), folder, DEMO_SECRET=SECRET, **SHORT) as running:
        running.apply(DEMO, OPEN, LARGE)
        yield running
        assert running.stop() == 0
    asyncio.run(servers.drop_database(url))


@pytest.fixture
def port(door: Api) -> int:
    """Where it listens; whatever a test did, the process still answers."""
    assert door.post("/api/v1/webhooks/open").status_code in {200, 202}
    return door.port
