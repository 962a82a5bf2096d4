"""Locks and markers in Redis, one key each: a batch is one write of plain commands and mostly one known answer.

The value under `opsconnect:delivery:` + the 32 raw bytes of a delivery key is either a lock, `L` and the holder's
random token, or a marker, `M` with event id (36), body digest (32) and epoch (the rest). To take keys is one
`SET … NX GET PX` each, to leave markers one `SET … PX` each, all of a batch in one write: a plain command costs Redis
about half of the same in a script. Where every key was free, or every marker was left, the answer is known beforehand
and compared as a whole. Scripts do what has to look at a value first: free a lock, and start one's own lock anew.

A batch goes to one server, or one primary that fails over behind one address; a Redis Cluster is not supported.
Redis 7.0 or newer (NX together with GET), and Valkey.
"""

import re
from collections.abc import Sequence
from secrets import token_bytes

from app.adapters.redis.connections import RedisConnections, Script, bulks
from app.adapters.redis.probe import RedisProbe
from app.core.domain.ids import EventId
from app.core.ports.idempotency_lock import Committed, IdempotencyLock, Lock, Marker

DIGEST_BYTES = 32
"""The size of a delivery key and of a body's digest; the scripts know it too."""
EVENT_ID_CHARS = 36

_KEY = b"$52\r\nopsconnect:delivery:"
_FREE, _OK = b"$-1\r\n", b"+OK\r\n"
_FOREIGN_TYPE = "WRONGTYPE"

# For keys that hold our own token: the lock starts anew, so that HELD always promises the full time. Each may have run
# out since it was seen, and may be anybody's or nobody's by now; so it is taken or judged as any other.
_TAKE_AGAIN = Script("""
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

# A lock is freed only by its own token: it may have run out, and another process may hold the key by now.
_RELEASE = Script("""
local keys, own = ARGV[1], ARGV[2]
for first = 1, #keys, 32 do
  local key = 'opsconnect:delivery:' .. string.sub(keys, first, first + 31)
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
        self._take = b"*7\r\n" + bulks(b"SET") + _KEY, b"\r\n" + bulks(self._own, b"NX", b"GET", b"PX", self._lock_ms)
        self._mark = b"*5\r\n" + bulks(b"SET") + _KEY, b"\r\n" + bulks(b"PX", _milliseconds(marker_seconds))

    async def acquire(self, keys: Sequence[bytes]) -> Sequence[Lock | Marker]:
        """Within the budget, always; a call that timed out may still take its keys when Redis gets to it."""
        if not keys:
            return []
        _check_sizes(keys, DIGEST_BYTES, "delivery key")
        by = self._connections.deadline()
        before, after = self._take
        packed = before + (after + before).join(keys) + after
        count = len(keys)
        values = await self._connections.exchange(packed, count, _FREE * count, forgiven=_FOREIGN_TYPE, by=by)
        answers: list[Lock | Marker] = [Lock.HELD] * count
        own = []
        for place, value in enumerate(values):
            if value == self._own:
                own.append(place)
            elif value is not None:
                answers[place] = _judged(value)
        if own:
            # Rare: the same process appends again what a row's fault has thrown back.
            blob = b"".join([keys[place] for place in own])
            others = await self._connections.run(_TAKE_AGAIN, blob, self._own, self._lock_ms, by=by)
            for place, value in zip(others[::2], others[1::2], strict=True):
                answers[own[place]] = _judged(value)
        return answers

    async def settle(self, committed: Sequence[Committed], released: Sequence[bytes]) -> None:
        """Within the budget, always; a call that timed out may still come true late: what it says stays true."""
        _check_sizes(released, DIGEST_BYTES, "delivery key")
        by = self._connections.deadline()
        # Markers first: a key both committed and released stays marked.
        if committed:
            packed, count = self._markers(committed), len(committed)
            await self._connections.exchange(packed, count, _OK * count, by=by)
        if released:
            await self._connections.run(_RELEASE, b"".join(released), self._own, by=by)

    def _markers(self, committed: Sequence[Committed]) -> bytes:
        keys, markers = zip(*committed, strict=True)
        event_ids, digests, epochs = zip(*markers, strict=True)
        _check_sizes(keys, DIGEST_BYTES, "delivery key")
        _check_sizes(event_ids, EVENT_ID_CHARS, "event id")
        _check_sizes(digests, DIGEST_BYTES, "digest")
        if len(set(epochs)) > 1:  # rare: the database was restarted between two commits
            return b"".join([self._markers([one]) for one in committed])
        epoch: bytes = epochs[0].encode("utf-8", "surrogatepass")
        before, after = self._mark
        middle = b"\r\n$%d\r\nM" % (1 + EVENT_ID_CHARS + DIGEST_BYTES + len(epoch))
        pieces = [
            key + middle + event_id.encode("ascii") + digest
            for key, event_id, digest in zip(keys, event_ids, digests, strict=True)
        ]
        return before + (epoch + after + before).join(pieces) + epoch + after

    async def close(self) -> None:
        """Close the connections. Locks that are held free themselves."""
        await self._connections.close()


def _check_sizes(pieces: Sequence[bytes] | Sequence[str], size: int, what: str) -> None:
    """Refuse a piece of another length before anything is sent: it would shift what follows onto wrong keys."""
    if set(map(len, pieces)) - {size}:
        raise ValueError(f"a {what} has the wrong length")


def _judged(value: object) -> Lock | Marker:
    """Say what a key means that is not ours; also what somebody else put there, of whatever type, is another's lock."""
    return (_marker(value) if isinstance(value, bytes) else None) or Lock.BUSY


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
