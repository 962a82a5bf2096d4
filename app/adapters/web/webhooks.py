"""The door for webhooks: one ASGI callable in front of everything else.

It stands before FastAPI because a framework route with its instrumentation costs several times what the whole rest of
intake does (docs/adr/0003). It reads the body within its bound, asks `IngestWebhook`, and answers.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from app.adapters.web.answers import Answer, Header, answer_to, problem
from app.adapters.web.heads import SOURCE_PATH
from app.adapters.web.problems import retry_after
from app.core.catalog.events import LEAD_SOURCE
from app.core.catalog.sources import provider_of
from app.core.domain.errors import OpsConnectError, Unavailable
from app.core.policies.leased_rates import LeasedRates
from app.core.ports.source_registry import SourceRegistry
from app.core.ports.telemetry import Delivery, Telemetry
from app.core.use_cases.ingest_webhook import IngestWebhook, Refused, WebhookRequest

_log = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LEAD_PATH = "/api/v1/webhook"

# After a refusal that comes before the body's end, this much more is read and thrown away: a connection closed with
# unread data is reset, and the sender would never see why.
LINGER_BYTES = 2_000_000

_CLOSE: Header = (b"connection", b"close")


class _Gone(Exception):
    """The sender left before the body was complete: there is nobody to answer."""


@dataclass(frozen=True, slots=True)
class WebhookDoor:
    """Answer webhooks; hand everything else on."""

    ingest: IngestWebhook
    telemetry: Telemetry
    sources: SourceRegistry
    rates: LeasedRates
    body_limit_bytes: int
    """Of a source that says nothing of its own."""
    elsewhere: App
    clock_ns: Callable[[], int] = time.time_ns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take what is a webhook by its path."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith(SOURCE_PATH):
                await self._webhook(scope, receive, send, path[len(SOURCE_PATH) :], lead=False)
                return
            if path == LEAD_PATH:
                await self._webhook(scope, receive, send, LEAD_SOURCE, lead=True)
                return
        await self.elsewhere(scope, receive, send)

    async def _webhook(self, scope: Scope, receive: Receive, send: Send, source: str, *, lead: bool) -> None:
        started_ns = self.clock_ns()
        headers: list[Header] = scope["headers"]
        method: str = scope["method"]
        traceparent, tracestate = _incoming(headers)
        client = scope["client"]
        delivery = Delivery(
            trace=self.telemetry.start(method, traceparent, tracestate, started_ns),
            method=method,
            path=scope["path"],
            client=client[0] if client else "",
            started_ns=started_ns,
        )
        wire = _Wire(send, delivery, bodiless=method == "HEAD")
        try:
            if method != "POST" and lead:
                await wire.write(problem("method_not_allowed", delivery, (b"allow", b"POST")))
                return
            query: bytes = scope["query_string"]
            target = scope["raw_path"] + (b"?" + query if query else b"")
            request = WebhookRequest(source, headers, b"", delivery, target, lead)
            known = await self.sources.get(source)
            if known is None:  # asked for once: the use case would have to ask again
                unknown = Refused("unknown_source")
                self.ingest.note(request, unknown, whole=False)
                await wire.write(answer_to(unknown, delivery))
                return
            delivery.source, delivery.provider = known.name, known.provider
            methods = provider_of(known).methods
            if method not in methods:
                await wire.write(problem("method_not_allowed", delivery, (b"allow", ", ".join(methods).encode())))
                return
            if known.rate_per_second is not None and not await self.rates.may(known.name, known.rate_per_second):
                limited = problem("rate_limited", delivery, _CLOSE, (b"retry-after", retry_after()))
                await wire.turn_away(limited, receive)
                return
            limit = self.body_limit_bytes if known.body_limit_bytes is None else known.body_limit_bytes
            body = await _read(headers, receive, limit)
            if body is None:
                self.ingest.note(request, Refused("body_too_large"), whole=False)
                await wire.turn_away(problem("body_too_large", delivery, _CLOSE, limit_bytes=limit), receive)
                return
            delivery.size = len(body)
            receipt = await self.ingest(request._replace(body=body))
            await wire.write(answer_to(receipt, delivery))
        except _Gone:
            delivery.outcome, delivery.status = "client_disconnected", 400
        except OpsConnectError as error:
            await wire.write(answer_to(error, delivery))
        except Exception as error:  # noqa: BLE001 (a defect of ours must not look like the sender's fault, nor like success)
            _log.exception("webhook.defect")
            if not delivery.status:
                await wire.write(answer_to(Unavailable(f"defect: {type(error).__name__}"), delivery))
        finally:
            delivery.ended_ns = time.time_ns()
            self.telemetry.finish(delivery)


def _incoming(headers: list[Header]) -> tuple[str | None, str | None]:
    """Find the sender's trace context."""
    traceparent = tracestate = None
    for name, value in headers:
        if name == b"traceparent":
            traceparent = value.decode("latin-1")
        elif name == b"tracestate":
            tracestate = value.decode("latin-1")
    return traceparent, tracestate


async def _read(headers: list[Header], receive: Receive, limit: int) -> bytes | None:
    """Read the whole body; None as soon as it is known to be larger than the limit."""
    for name, value in headers:
        if name == b"content-length":
            declared = value.strip(b" \t")  # the parser leaves blanks at the end
            if not declared.isdigit() or int(declared[:20]) > limit:
                return None
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _Gone
    first: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return first if len(first) <= limit else None
    chunks, size = [first], len(first)
    while size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        chunk = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks) if size <= limit else None
    return None


async def _linger(receive: Receive) -> None:
    """Take in a little more of a refused body, so that its sender sees the answer."""
    left = LINGER_BYTES
    while left > 0:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))


class _Wire:
    """Writes the one answer of a request."""

    __slots__ = ("_bodiless", "_delivery", "_send")

    def __init__(self, send: Send, delivery: Delivery, *, bodiless: bool) -> None:
        self._send = send
        self._delivery = delivery
        self._bodiless = bodiless

    async def turn_away(self, answer: Answer, receive: Receive) -> None:
        """Answer before the body was read whole, and take in a little more, so that its sender sees the answer."""
        await self.write(answer, last=False)
        await _linger(receive)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def write(self, answer: Answer, *, last: bool = True) -> None:
        """Write it; with `last=False` its end is still to be written."""
        length = (b"content-length", str(len(answer.body)).encode())
        trace_id = (b"x-trace-id", self._delivery.trace.trace_id.encode())
        headers = [*answer.headers, length, trace_id]
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        body = b"" if self._bodiless else answer.body
        await self._send({"type": "http.response.body", "body": body, "more_body": not last})
