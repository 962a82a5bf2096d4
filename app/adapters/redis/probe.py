"""Redis's own way to tell that it works."""

import time

from app.adapters.redis.connections import RedisConnections
from app.core.ports.probe import Probe


class RedisProbe(Probe):
    """Asks over the connections that the lock uses, so that it sees what the lock sees."""

    name = "redis"

    def __init__(self, connections: RedisConnections) -> None:
        self._connections = connections

    async def check(self) -> float:
        """PING; the connections' budget, well below a second, bounds it."""
        started = time.perf_counter()
        await self._connections.ping()
        return round((time.perf_counter() - started) * 1000, 2)
