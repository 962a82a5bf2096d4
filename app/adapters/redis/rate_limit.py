"""Rates in Redis: a bucket a name, refilled by Redis's own clock, which all processes share."""

from app.adapters.redis.connections import RedisConnections, Script
from app.core.ports.rate_limit import RateLimit

# A bucket is a hash: what was left, and when. It expires once it would be full again.
_TAKE = Script("""
local key, rate, most = 'opsconnect:rate:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local burst = math.max(rate, 1)
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local known = redis.call('HMGET', key, 'left', 'at')
local left = burst
if known[1] and known[2] then
  left = math.min(burst, tonumber(known[1]) + math.max(0, now - tonumber(known[2])) * rate)
end
local given = math.min(most, math.floor(left))
redis.call('HSET', key, 'left', string.format('%.6f', left - given), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', key, math.ceil(burst / rate * 1000) + 1000)
return given
""")


class RedisRateLimit(RateLimit):
    """Rates shared by everybody on one Redis. Connects at the first call."""

    def __init__(
        self, url: str, *, connect_seconds: float = 0.1, operation_seconds: float = 0.2, connections: int = 2
    ) -> None:
        self._connections = RedisConnections(
            url, connect_seconds=connect_seconds, operation_seconds=operation_seconds, connections=connections
        )

    async def take(self, name: str, *, per_second: float, most: int) -> int:
        """One round trip, within the budget, always."""
        given = await self._connections.run(_TAKE, name.encode(), b"%.6f" % per_second, b"%d" % most)
        return int(given)

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()
