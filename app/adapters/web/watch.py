"""The connections of this process: how many there are of each address, what was refused, and whose time is up.

One sweep over all connections, four times a second, stands in for timers a request: a request that comes and goes in
between costs a few assignments.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Protocol

import structlog

from app.adapters.web.admission import Admission
from app.adapters.web.answers import Header
from app.adapters.web.framing import Caps
from app.core.catalog.proof import Headers

CONNECTION_REFUSED = "connection.refused"
SWEEP_SECONDS = 0.25
LOOKED_AT_AT_ONCE = 32
"""Each may have to be refused, and its client may come back at once: some 0.3 ms of the event loop's time."""
PAUSE_SECONDS = 0.02
LONGEST_SWEEP_SECONDS = 1.0
"""Between two of these there is a pause for everybody else, shorter where there are so many that the sweep would take
longer than this: thousands that fall due together are refused one after another, and come back so."""
SECONDS_BETWEEN_LINES = 1.0
"""Of the same code: a flood must not become a flood of lines. Each line says how many it stands for."""

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Limits:
    """How slow, large and many clients may be."""

    caps: Caps = field(default_factory=Caps)
    silent_seconds: float = 5.0
    header_seconds: float = 5.0
    body_seconds: float = 10.0
    body_bytes_per_second: int = 1_000
    idle_seconds: float = 5.0
    answer_seconds: float = 30.0
    last_seconds: float = 1.0
    """Once the process is to end: how long it still waits for requests, and for what is missing of them."""
    connections_per_address: int = 1_024
    trusted_proxies: tuple[Network, ...] = ()


def networks(text: str) -> tuple[Network, ...]:
    """Read addresses and networks, separated by commas or blanks. Raises `ValueError`."""
    return tuple(ip_network(part) for part in text.replace(",", " ").split())


class Refusals:
    """Counts what was refused before there was a request, and tells of it now and then."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._told: dict[str, tuple[float, int]] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """How many since the start, by code."""
        return self._counts

    def note(self, code: str, client: str, now: float) -> None:
        """Count one; at most once a second it is worth a line, without anything of the request."""
        self._counts[code] += 1
        last, told = self._told.get(code, (-SECONDS_BETWEEN_LINES, 0))
        if now - last >= SECONDS_BETWEEN_LINES:
            self._told[code] = (now, self._counts[code])
            structlog.get_logger().warning(
                CONNECTION_REFUSED, code=code, client=client, connections=self._counts[code] - told
            )


class Watched(Protocol):
    """A connection, as the sweep sees it."""

    def look(self, now: float) -> None:
        """End it if its time is up."""


class Watch:
    """What the connections of one process share."""

    def __init__(self, limits: Limits, refusals: Refusals, admission: Admission) -> None:
        self.limits = limits
        self.refusals = refusals
        self.admission = admission
        self.last_moment = math.inf
        """Until then a request may come; infinite, unless the process is to end."""
        self._connections: set[Watched] = set()
        self._addresses: Counter[str] = Counter()
        self._sweeping = False
        self._default: tuple[Sequence[Header], bytes] = ((), b"")

    def default_lines(self, headers: Sequence[Header]) -> bytes:
        """Write down the headers of all answers; the server makes new ones once a second, for the time in them."""
        if headers is not self._default[0]:
            self._default = headers, b"".join([b"%b: %b\r\n" % header for header in headers])
        return self._default[1]

    def enter(self, connection: Watched, address: str, loop: asyncio.AbstractEventLoop) -> bool:
        """Take a connection in; False where its address has enough of them already."""
        if address:
            if self._addresses[address] >= self.limits.connections_per_address:
                self.refusals.note("too_many_connections", address, loop.time())
                return False
            self._addresses[address] += 1
        self._connections.add(connection)
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(SWEEP_SECONDS, self._sweep, loop)
        return True

    def leave(self, connection: Watched, address: str) -> None:
        """Forget one that was taken in."""
        self._connections.discard(connection)
        if address:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]

    @property
    def leaving(self) -> bool:
        """Whether the process is to end."""
        return self.last_moment < math.inf

    def end_soon(self, now: float) -> None:
        """Note that the process is to end. Requests on their way have a moment to come: closing would cut them off."""
        self.last_moment = now + self.limits.last_seconds

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweeping = bool(self._connections)
        if self._sweeping:
            left = list(self._connections)
            pause = min(PAUSE_SECONDS, LONGEST_SWEEP_SECONDS * LOOKED_AT_AT_ONCE / len(left))
            self._look_at(left, pause, loop)

    def _look_at(self, left: list[Watched], pause: float, loop: asyncio.AbstractEventLoop) -> None:
        """Look at some of them, and after a pause at more."""
        now = loop.time()
        for _ in range(min(LOOKED_AT_AT_ONCE, len(left))):
            connection = left.pop()
            if connection in self._connections:
                connection.look(now)
        if left:
            loop.call_later(pause, self._look_at, left, pause, loop)
        else:
            loop.call_later(SWEEP_SECONDS, self._sweep, loop)

    def trusts(self, address: str) -> bool:
        """Tell whether what this peer says of its own client is believed."""
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        return any(peer in network for network in self.limits.trusted_proxies)

    def forwarded(self, peer: str, headers: Headers) -> str:
        """Find the client behind trusted proxies: the last address in `X-Forwarded-For` that is none of them."""
        told = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin-1")
        client = peer
        for entry in reversed(told.split(",")):
            try:
                client = str(ip_address(entry.strip()))
            except ValueError:
                break
            if not self.trusts(client):
                break
        return client
