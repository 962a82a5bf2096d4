"""The short way of the usual webhook: from the bytes of its connection to the use case, without parser, scope or task.

It is taken by a request that came whole and alone, is a POST to a source that is prepared, and asks for nothing
unusual. Everything else goes by the book: through the parser, ASGI and `WebhookDoor`. Both ways look at the same head
(`framing.check_head`), ask the same use case, and give the same answers; the tests of the door run over both.

What arrives in one turn of the loop is worked on together, after it: the same lines run thirty times in a row cost half
of what they cost in between everything else, because they stay in the processor's caches.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from app.adapters.web.answers import Answer, answer_to
from app.core.domain.errors import OpsConnectError, Unavailable
from app.core.policies.leased_rates import LeasedRates
from app.core.ports.telemetry import Delivery, Telemetry
from app.core.use_cases.ingest_webhook import IngestWebhook, Receipt, WebhookRequest

_log = logging.getLogger(__name__)

SOURCE_PATH = "/api/v1/webhooks/"

MOST_IN_A_TURN = 64
"""More would hold everybody else up: new connections, answers that are ready, health."""

_START = b"POST /api/v1/webhooks/"
_VERSION = b" HTTP/1.1\r\n"
_FIELD = re.compile(rb"\n([^:\r\n]++):[ \t]*+([^\r]*+)")
_UNUSUAL = frozenset({b"expect", b"te", b"trailer"})


class Connection(Protocol):
    """What the short way needs of a connection."""

    def client_of(self, headers: list[tuple[bytes, bytes]]) -> str:
        """Give the address of who sent a request."""

    def by_the_book(self, data: bytes) -> None:
        """Take a request that was passed on the long way after all."""

    def answer(self, answer: Answer, trace_id: str) -> None:
        """Write the one answer, and go on with what has arrived meanwhile."""


class _Arrived(NamedTuple):
    connection: Connection
    data: bytes
    head_bytes: int
    at_ns: int


class ExpressLane:
    """The short way of one process."""

    def __init__(
        self,
        ingest: IngestWebhook,
        telemetry: Telemetry,
        rates: LeasedRates,
        *,
        body_limit_bytes: int,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`body_limit_bytes`: of a source that says nothing of its own."""
        self._ingest = ingest
        self._rates = rates
        self._telemetry = telemetry
        self._body_limit_bytes = body_limit_bytes
        self._clock_ns = clock_ns
        self._arrived: list[_Arrived] = []

    def take(self, connection: Connection, data: bytes, head_bytes: int, loop: asyncio.AbstractEventLoop) -> bool:
        """Take a whole request whose head was looked at; False for one that must go by the book from the start."""
        if not data.startswith(_START):
            return False
        if not self._arrived:
            loop.call_soon(self._turn, loop)
        self._arrived.append(_Arrived(connection, data, head_bytes, self._clock_ns()))
        return True

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        arrived, self._arrived = self._arrived[:MOST_IN_A_TURN], self._arrived[MOST_IN_A_TURN:]
        if self._arrived:
            loop.call_soon(self._turn, loop)
        for one in arrived:
            try:
                if not self._begin(one):
                    one.connection.by_the_book(one.data)
            except Exception:  # noqa: BLE001 (a defect of the short way; the long one has its own answer to defects)
                _log.exception("webhook.defect")
                one.connection.by_the_book(one.data)

    def _begin(self, arrived: _Arrived) -> bool:
        """Begin a request, or say that it is none for the short way; nothing was done with it then."""
        connection, data, head_bytes, at_ns = arrived
        space = data.find(b" ", len(_START))
        source = data[len(_START) : space].decode("ascii", "replace")
        ready = self._ingest.prepare.at_hand(source)
        if ready is None or not data.startswith(_VERSION, space):
            return False
        limit = ready.source.body_limit_bytes
        body = data[head_bytes:]
        if len(body) > (self._body_limit_bytes if limit is None else limit):
            return False
        headers = [(name.lower(), value) for name, value in _FIELD.findall(data, 0, head_bytes)]
        if data.find(b" \r", 0, head_bytes) >= 0 or data.find(b"\t\r", 0, head_bytes) >= 0:
            headers = [(name, value.rstrip(b" \t")) for name, value in headers]
        named = dict(headers)
        if not _UNUSUAL.isdisjoint(named) or named.get(b"connection", b"keep-alive").lower() != b"keep-alive":
            return False
        rate = ready.source.rate_per_second
        if rate is not None and not self._rates.at_once(source, rate):
            return False
        traceparent = named.get(b"traceparent")
        tracestate = named.get(b"tracestate")
        trace = self._telemetry.start(
            "POST",
            None if traceparent is None else traceparent.decode("latin-1"),
            None if tracestate is None else tracestate.decode("latin-1"),
            at_ns,
        )
        delivery = Delivery(trace, "POST", SOURCE_PATH + source, connection.client_of(headers), at_ns)
        delivery.size = len(body)
        exchange = _Exchange(connection, delivery, self._telemetry)
        target = data[len(b"POST ") : space]
        return self._ingest.at_once(ready, WebhookRequest(source, headers, body, delivery, target), exchange.settle)


class _Exchange:
    """One request that waits for its answer."""

    __slots__ = ("_connection", "_delivery", "_telemetry")

    def __init__(self, connection: Connection, delivery: Delivery, telemetry: Telemetry) -> None:
        self._connection = connection
        self._delivery = delivery
        self._telemetry = telemetry

    def settle(self, result: Receipt | OpsConnectError) -> None:
        """Answer, and record it."""
        delivery = self._delivery
        try:
            self._connection.answer(answer_to(result, delivery), delivery.trace.trace_id)
        except Exception as error:  # noqa: BLE001 (as in `WebhookDoor`: nobody else could answer)
            _log.exception("webhook.defect")
            if not delivery.status:
                self._connection.answer(
                    answer_to(Unavailable(f"defect: {type(error).__name__}"), delivery), delivery.trace.trace_id
                )
        finally:
            delivery.ended_ns = time.time_ns()
            self._telemetry.finish(delivery)
