"""A real Postgres and a real Redis-compatible server, nothing installed: for `opsconnect dev` and the tests.

    with start(Path(".opsconnect")) as servers:
        ...  # servers.database_url, servers.redis_url

No root, no container engine, no event loop. Data survive restarts; the servers never outlive their owner on
Linux, not even after `kill -9`. On macOS they do, until the next start on the same folder, which ends them
first.

`running` finds the servers of another process. Fault tests take the pieces: `claim` a folder, make a
`PostgresServer` or a `RedisServer` on it, then `start`, `kill` and `start` again at the same address.
"""

from app.infra.embedded.binaries import find_redis
from app.infra.embedded.data_folder import DataFolder, claim
from app.infra.embedded.errors import EmbeddedError
from app.infra.embedded.postgres import PostgresServer
from app.infra.embedded.redis import RedisServer
from app.infra.embedded.servers import EmbeddedServers, running, start

__all__ = [
    "DataFolder",
    "EmbeddedError",
    "EmbeddedServers",
    "PostgresServer",
    "RedisServer",
    "claim",
    "find_redis",
    "running",
    "start",
]
