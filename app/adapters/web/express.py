"""The short way of the usual webhook: from the bytes of its connection to the use case, without parser, scope or task.

It is taken by a POST with a length, to a source that is prepared, that asks for nothing unusual; once it is whole, in
however many pieces it came. Everything else goes by the book: through the parser, ASGI and `WebhookDoor`. Both ways
look at the same head (`heads.py`), ask the same use case, and give the same answers; the tests of the door run over
both.

What arrives in one turn of the loop is worked on together, after it: the same lines run in a row cost half of what they
cost in between everything else, because they stay in the processor's caches. But only so many at a time, so that the
first of them are on their way to the database while the next are looked at.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from app.adapters.web.answers import Answer, answer_to
from app.adapters.web.heads import SOURCE_PATH, Head
from app.core.catalog.proof import Headers, Named
from app.core.domain.errors import OpsConnectError, Unavailable
from app.core.policies.leased_rates import LeasedRates
from app.core.ports.telemetry import Delivery, Telemetry
from app.core.use_cases.ingest_webhook import IngestWebhook, Receipt, WebhookRequest
from app.core.use_cases.prepare_source import Ready

_log = logging.getLogger(__name__)

LEAST_IN_A_TURN, MOST_IN_A_TURN = 16, 64
"""Half of what waits, within these. With fewer, a flood's turns would go to what is turned away; more would keep the
database waiting, and everybody else: new connections, answers that are ready, health."""


class Connection(Protocol):
    """What the short way needs of a connection."""

    def client_of(self, headers: Headers) -> str:
        """Give the address of who sent a request."""

    def by_the_book(self, data: bytes) -> None:
        """Take a request that was passed on the long way after all."""

    def answer(self, answer: Answer, trace_id: str) -> None:
        """Write the one answer, and go on with what has arrived meanwhile."""


_Arrived = tuple[Connection, Head, bytes, int, int]
"""Whose, its head, all of its bytes and how many of these are the head's, and when."""


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

    def take(
        self,
        connection: Connection,
        head: Head,
        data: bytes,
        head_bytes: int,
        loop: asyncio.AbstractEventLoop,
        since_ns: int = 0,
    ) -> None:
        """Take a whole request that is posted to a source, by its path; it came that long after its head."""
        if not self._arrived:
            loop.call_soon(self._turn, loop)
        self._arrived.append((connection, head, data, head_bytes, self._clock_ns() - since_ns))

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        number = min(MOST_IN_A_TURN, max(LEAST_IN_A_TURN, len(self._arrived) // 2))
        arrived, self._arrived = self._arrived[:number], self._arrived[number:]
        if self._arrived:
            loop.call_soon(self._turn, loop)
        for connection, head, data, head_bytes, at_ns in arrived:
            try:
                if not self._begin(connection, head, data[head_bytes:], at_ns):
                    connection.by_the_book(data)
            except Exception:  # noqa: BLE001 (a defect of the short way; the long one has its own answer to defects)
                _log.exception("webhook.defect")
                connection.by_the_book(data)

    def fits(self, head: Head) -> bool:
        """Tell whether a request with this head may go the short way, once it is whole."""
        return self._ready_for(head) is not None

    def _ready_for(self, head: Head) -> Ready | None:
        """Give the source that a request is posted to, prepared; None where it must go by the book."""
        source = head.first.source
        ready = self._ingest.prepare.at_hand(source) if head.usual and source is not None else None
        if ready is None:
            return None
        limit = ready.source.body_limit_bytes
        return ready if head.length <= (self._body_limit_bytes if limit is None else limit) else None

    def _begin(self, connection: Connection, head: Head, body: bytes, at_ns: int) -> bool:
        """Begin a request, or say that it is none for the short way; nothing was done with it then."""
        ready = self._ready_for(head)
        if ready is None:
            return False
        known, headers = ready.source, head.headers
        if known.rate_per_second is not None and not self._rates.at_once(known.name, known.rate_per_second):
            return False
        parent = state = None
        named = headers.by_name if isinstance(headers, Named) else dict(headers)
        if b"traceparent" in named:
            parent = named[b"traceparent"].decode("latin-1")
            state = named.get(b"tracestate", b"").decode("latin-1") or None
        trace = self._telemetry.start("POST", parent, state, at_ns)
        client, path = connection.client_of(headers), SOURCE_PATH + known.name
        delivery = Delivery(trace, "POST", path, client, at_ns, known.name, known.provider, len(body))
        request = WebhookRequest(known.name, head.headers, body, delivery, head.first.target)
        return self._ingest.at_once(ready, request, partial(self._answer, connection, delivery))

    def _answer(self, connection: Connection, delivery: Delivery, result: Receipt | OpsConnectError) -> None:
        """Answer, and record it."""
        try:
            connection.answer(answer_to(result, delivery), delivery.trace.trace_id)
        except Exception as error:  # noqa: BLE001 (as in `WebhookDoor`: nobody else could answer)
            _log.exception("webhook.defect")
            if not delivery.status:
                broken = Unavailable(f"defect: {type(error).__name__}")
                connection.answer(answer_to(broken, delivery), delivery.trace.trace_id)
        finally:
            delivery.ended_ns = time.time_ns()
            self._telemetry.finish(delivery)
