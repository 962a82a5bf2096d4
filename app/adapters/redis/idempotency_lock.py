"""Locks and markers in Redis, one key each: a batch is one question and mostly an empty answer.

The value under `opsconnect:delivery:` + the 32 raw bytes of a delivery key is either a lock, `L` and the holder's
random token, or a marker, `M` with event id (36), body digest (32) and epoch (the rest). Keys travel as one blob that
the script slices; the answer to `acquire` names only the keys that were not simply taken. So the cost of a batch in
this process hardly depends on its size.

The scripts name keys that they were not declared (they come out of the blob). That is fine on one server, or one
primary that fails over behind one address; a Redis Cluster is not supported. Redis 6.2 or newer, and Valkey.
"""

import re
from collections.abc import Sequence
from secrets import token_bytes

from app.adapters.redis.connections import RedisConnections, Script
from app.adapters.redis.probe import RedisProbe
from app.core.domain.ids import EventId
from app.core.ports.idempotency_lock import Committed, IdempotencyLock, Lock, Marker

DIGEST_BYTES = 32
"""The size of a delivery key and of a body's digest; the scripts know it too."""
EVENT_ID_CHARS = 36

# SET … NX GET in one command would need Redis 7. Our own lock starts anew, so that HELD always promises the full time.
# What somebody else put there, of whatever type, must not break the batch: it counts as another's lock.
_ACQUIRE = Script("""
local keys, own, ttl = ARGV[1], ARGV[2], ARGV[3]
local others = {}
for first = 1, #keys, 32 do
  local key = 'opsconnect:delivery:' .. string.sub(keys, first, first + 31)
  if not redis.call('SET', key, own, 'NX', 'PX', ttl) then
    local value = redis.pcall('GET', key)
    if value == own then
      redis.call('PEXPIRE', key, ttl)
    else
      if type(value) ~= 'string' or string.sub(value, 1, 1) ~= 'M' then value = '' end
      others[#others + 1] = (first - 1) / 32
      others[#others + 1] = value
    end
  end
end
return others
""")

# Markers first: a key both committed and released stays marked. A lock is freed only by its own token: it may have run
# out, and another process may hold the key by now. One epoch stands for all, several are one each.
_SETTLE = Script("""
local own, ttl, released, keys, ids, digests = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
for i = 0, #keys / 32 - 1 do
  local marker = 'M' .. string.sub(ids, i * 36 + 1, i * 36 + 36) .. string.sub(digests, i * 32 + 1, i * 32 + 32)
  local key = 'opsconnect:delivery:' .. string.sub(keys, i * 32 + 1, i * 32 + 32)
  redis.call('SET', key, marker .. (ARGV[7 + i] or ARGV[7]), 'PX', ttl)
end
for first = 1, #released, 32 do
  local key = 'opsconnect:delivery:' .. string.sub(released, first, first + 31)
  if redis.pcall('GET', key) == own then redis.call('DEL', key) end
end
""")

_MARKER = re.compile(
    rb"M([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(.{32})(.*)", re.DOTALL | re.ASCII
)


class RedisIdempotencyLock(IdempotencyLock):
    """One process's lock, with connections and a token of its own. Connects at the first call."""

    def __init__(
        self,
        url: str,
        *,
        connect_seconds: float = 0.1,
        operation_seconds: float = 0.2,
        lock_seconds: float = 3.0,
        marker_seconds: float = 120.0,
        connections: int = 8,
    ) -> None:
        self._connections = RedisConnections(
            url, connect_seconds=connect_seconds, operation_seconds=operation_seconds, connections=connections
        )
        self.probe = RedisProbe(self._connections)
        self._own = b"L" + token_bytes(16)
        self._lock_ms = _milliseconds(lock_seconds)
        self._marker_ms = _milliseconds(marker_seconds)

    async def acquire(self, keys: Sequence[bytes]) -> Sequence[Lock | Marker]:
        """Within the budget, always; a call that timed out may still take its keys when Redis gets to it."""
        if not keys:
            return []
        others = await self._connections.run(_ACQUIRE, _blob(keys), self._own, self._lock_ms)
        answers: list[Lock | Marker] = [Lock.HELD] * len(keys)
        for place, value in zip(others[::2], others[1::2], strict=True):
            answers[place] = _marker(value) or Lock.BUSY
        return answers

    async def settle(self, committed: Sequence[Committed], released: Sequence[bytes]) -> None:
        """Within the budget, always; a call that timed out may still come true late: what it says stays true."""
        if committed:
            keys, markers = zip(*committed, strict=True)
            event_ids, digests, epochs = zip(*markers, strict=True)
            ids = "".join(event_ids).encode("ascii")
            packed = [_blob(keys), _sized(ids, EVENT_ID_CHARS * len(keys), "event id"), _blob(digests)]
            packed += [epoch.encode("utf-8", "surrogatepass") for epoch in _one_or_all(epochs)]
        elif released:
            packed = [b"", b"", b""]
        else:
            return
        await self._connections.run(_SETTLE, self._own, self._marker_ms, _blob(released), *packed)

    async def close(self) -> None:
        """Close the connections. Locks that are held free themselves."""
        await self._connections.close()


def _blob(pieces: Sequence[bytes]) -> bytes:
    return _sized(b"".join(pieces), DIGEST_BYTES * len(pieces), "delivery key or digest")


def _sized(blob: bytes, size: int, what: str) -> bytes:
    """Check what the script will slice: one piece of another length would shift all that follow onto wrong keys."""
    if len(blob) != size:
        raise ValueError(f"a {what} has the wrong length")
    return blob


def _one_or_all(epochs: Sequence[str]) -> Sequence[str]:
    return epochs[:1] if len(set(epochs)) == 1 else epochs


def _marker(value: bytes) -> Marker | None:
    """Read a marker; None for a lock, and for whatever else is no marker of ours."""
    match = _MARKER.fullmatch(value)
    if match is None:
        return None
    event_id, digest, epoch = match.groups()
    try:
        return Marker(EventId(event_id.decode()), digest, epoch.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        return None


def _milliseconds(seconds: float) -> bytes:
    return b"%d" % max(1, round(seconds * 1000))
