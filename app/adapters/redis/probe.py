"""Redis's own way to tell that it works."""

import time

from app.adapters.redis.connections import RedisConnections, bulks
from app.core.ports.probe import Probe

_TAKE = b"*7\r\n" + bulks(b"SET", b"opsconnect:probe", b"", b"NX", b"GET", b"PX", b"1")
_FREE = b"$-1\r\n"


class RedisProbe(Probe):
    """Does what the lock does, over its connections: PING is answered by a server that is full or too old as well."""

    name = "redis"

    def __init__(self, connections: RedisConnections) -> None:
        self._connections = connections

    async def check(self) -> float:
        """Take a key for a millisecond; the connections' budget, well below a second, bounds it."""
        started = time.perf_counter()
        await self._connections.exchange(_TAKE, 1, _FREE)
        return round((time.perf_counter() - started) * 1000, 2)
