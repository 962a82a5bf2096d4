"""The main job: a request comes in, is proved genuine, is kept exactly once, and gets its receipt."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

import jmespath
from jmespath.exceptions import JMESPathError

from app.core.catalog.proof import Genuine, Headers, KeyWanted, NotGenuine, SignedRequest
from app.core.domain.body import Readable, Unreadable, read
from app.core.domain.credentials import chosen
from app.core.domain.delivery_key import as_id, delivery_key, printable
from app.core.domain.errors import Fault, KeyMissing, OpsConnectError
from app.core.domain.event import NewEvent
from app.core.domain.ids import EventId, event_id
from app.core.domain.lead import read_lead
from app.core.domain.refusal import NewRefusal, new_refusal
from app.core.domain.source import Source
from app.core.policies.group_commit import GroupCommit
from app.core.ports.event_store import Appended, Outcome
from app.core.ports.telemetry import Delivery
from app.core.use_cases.prepare_source import PrepareSource, Ready

LEAD_DELIVERY_ID = b"x-delivery-id"
LONGEST_TYPE = 256
MOST_FETCHES = 2
"""Of keys, for one request: a certificate, and what it was signed by."""


class WebhookRequest(NamedTuple):
    """A complete request as it was received."""

    source: str
    headers: Headers
    body: bytes
    delivery: Delivery
    """What is written down for telemetry as the request goes."""
    target: bytes
    """Path and query, byte by byte."""
    lead: bool = False
    """It came in by `/webhook`, where only a valid lead is taken."""


class Accepted(NamedTuple):
    """The event is kept."""

    event_id: EventId


class Repeated(NamedTuple):
    """The delivery was kept before, as this event."""

    event_id: EventId


class Refused(NamedTuple):
    """Not kept. The code is for the sender; the detail of it is in the delivery's record, for the operator."""

    code: str
    faults: tuple[Fault, ...] = ()


Receipt = Accepted | Repeated | Refused


Answer = Callable[[Receipt | OpsConnectError], None]
"""Takes what a request is answered with. Must not raise."""


@dataclass(frozen=True, slots=True)
class IngestWebhook:
    """Take in one webhook. When a receipt says accepted or repeated, the event's transaction has committed."""

    prepare: PrepareSource
    store: GroupCommit
    refused: Callable[[NewRefusal], None]
    """Takes what was refused, to look at later. Never waits."""

    async def __call__(self, request: WebhookRequest) -> Receipt:
        """Take it in; what is refused is noted. Raises what `take_in` raises."""
        receipt = await self.take_in(request)
        if isinstance(receipt, Refused):
            self.note(request, receipt)
        return receipt

    async def take_in(self, request: WebhookRequest) -> Receipt:
        """Prove it, name it, keep it.

        Raises `Unavailable` or `OutcomeUnknown` (or another error of the store) when the sender must try again.
        """
        ready = await self.prepare(request.source)
        if ready is None:
            return Refused("unknown_source")
        event = _decided(ready, request)
        for _ in range(MOST_FETCHES):
            if not isinstance(event, KeyWanted):
                break
            try:
                ready = await self.prepare.with_key(ready, event.url)
            except KeyMissing as error:
                request.delivery.detail = str(error)
                return Refused("key_unknown")
            event = _decided(ready, request)
        if isinstance(event, KeyWanted):
            request.delivery.detail = f"{event.url} does not hold the key that signed this"
            return Refused("key_unknown")
        if isinstance(event, Refused):
            return event
        (outcome,) = await self.store.append((event,))
        return _receipt(outcome, request.delivery)

    def at_once(self, ready: Ready, request: WebhookRequest, answer: Answer) -> bool:
        """Do the same without a coroutine, for a source that is prepared: what came of it, `answer` is told.

        A refusal is told before this returns; anything else when it is settled, within the store's budget. False when
        a key must be fetched first: nothing was done then, and `__call__` can do it.
        """
        event = _decided(ready, request)
        if isinstance(event, KeyWanted):
            return False
        if isinstance(event, Refused):
            self.note(request, event)
            answer(event)
            return True
        delivery = request.delivery

        def settled(outcome: Outcome | OpsConnectError) -> None:
            answer(outcome if isinstance(outcome, OpsConnectError) else _receipt(outcome, delivery))

        self.store.submit(event, settled)
        return True

    def note(self, request: WebhookRequest, refused: Refused, *, whole: bool = True) -> None:
        """Note a refusal; `whole=False` where the body was not read to its end."""
        delivery = request.delivery
        self.refused(
            new_refusal(
                received_ns=delivery.started_ns,
                source=delivery.source,
                provider=delivery.provider,
                code=refused.code,
                detail=delivery.detail,
                method=delivery.method,
                target=request.target,
                client=delivery.client,
                traceparent=delivery.trace.traceparent,
                headers=request.headers,
                body=request.body if whole else None,
                lead=request.lead,
            )
        )


def _decided(ready: Ready, request: WebhookRequest) -> NewEvent | Refused | KeyWanted:
    """Prove a request genuine, and make the event that it brings."""
    source, delivery = ready.source, request.delivery
    delivery.source, delivery.provider = source.name, source.provider
    delivery.verify_started_ns = time.time_ns()
    signed = SignedRequest(delivery.method, source.public_url or "", request.headers, request.body)
    verdict = ready.verify(signed, delivery.started_ns / 1e9)
    delivery.verify_ended_ns = time.time_ns()
    if isinstance(verdict, KeyWanted):
        return verdict
    if isinstance(verdict, NotGenuine):
        delivery.detail = verdict.detail
        return Refused(verdict.code)
    event = _lead_event(source, request, verdict) if request.lead else _event(source, request, verdict)
    if isinstance(event, Refused):
        delivery.detail = "; ".join(map(str, event.faults))
    return event


def _receipt(outcome: Outcome, delivery: Delivery) -> Receipt:
    delivery.flush = outcome.flush
    delivery.event_id = outcome.event_id
    return Accepted(outcome.event_id) if isinstance(outcome, Appended) else Repeated(outcome.event_id)


def _lead_event(source: Source, request: WebhookRequest, verdict: Genuine) -> NewEvent | Refused:
    """A lead that changes is a new event; the same lead again is a duplicate."""
    lead = read_lead(request.body)
    if isinstance(lead, tuple):
        return Refused("invalid_lead", lead)
    digest = sha256(request.body)
    raw_id = _header(request.headers, LEAD_DELIVERY_ID) or (
        lead.lead_id.encode("utf-8", "surrogatepass") + b":" + digest.hexdigest().encode()
    )
    return _new_event(source, request, verdict, digest.digest(), raw_id, "lead", None)


def _event(source: Source, request: WebhookRequest, verdict: Genuine) -> NewEvent:
    """Make the event; the body is parsed only where the source names a path in it, and may be unreadable."""
    digest = sha256(request.body)
    content: Any = None
    quarantine = None
    if source.reads_body:
        parsed = read(_content_type(request.headers), request.body)
        if isinstance(parsed, Unreadable):
            quarantine = parsed.reason
        elif isinstance(parsed, Readable):
            content = parsed.value
    raw_id: bytes | None = None
    if source.delivery_key.kind == "header":
        raw_id = _header(request.headers, source.delivery_key.name.encode())
    elif source.delivery_key.kind == "body":
        raw_id = as_id(_at(source.delivery_key.name, content))
    if raw_id is None:
        raw_id = b"sha256:" + digest.hexdigest().encode()
    type_ = None
    if source.type is not None:
        raw_type = (
            _header(request.headers, source.type.name.encode())
            if source.type.kind == "header"
            else as_id(_at(source.type.name, content))
        )
        type_ = printable(raw_type)[:LONGEST_TYPE] if raw_type else None
    return _new_event(source, request, verdict, digest.digest(), raw_id, type_, quarantine)


def _new_event(
    source: Source,
    request: WebhookRequest,
    verdict: Genuine,
    digest: bytes,
    raw_id: bytes,
    type_: str | None,
    quarantine: str | None,
) -> NewEvent:
    delivery = request.delivery
    return NewEvent(
        id=event_id(delivery.started_ns),
        source=source.name,
        provider=source.provider,
        key=delivery_key(source.name, raw_id),
        delivery_id=printable(raw_id),
        type=type_,
        received_at=datetime.fromtimestamp(delivery.started_ns / 1_000_000_000, UTC),
        headers=chosen(request.headers),
        content_type=_content_type(request.headers),
        body=request.body,
        digest=digest,
        verification=verdict.verification,
        traceparent=delivery.trace.traceparent,
        quarantine=quarantine,
    )


def _header(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    """Give a header's first value, if it has one that is not empty."""
    for name, value in headers:
        if name == wanted:
            return value.strip() or None
    return None


def _content_type(headers: Headers) -> str | None:
    value = _header(headers, b"content-type")
    return value.decode("latin-1")[:LONGEST_TYPE] if value else None


def _at(path: str, content: Any) -> Any:
    """Look up a JMESPath; a content of another shape than the path expects holds nothing there."""
    try:
        return jmespath.search(path, content)
    except (JMESPathError, RecursionError):
        return None
