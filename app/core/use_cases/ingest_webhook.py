"""The main job: a request comes in, is proved genuine, is kept exactly once, and gets its receipt."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from app.core.catalog import handshakes
from app.core.catalog.events import event_of, lead_event
from app.core.catalog.handshakes import HandshakeAnswer
from app.core.catalog.proof import Genuine, Headers, KeyWanted, NotGenuine, SignedRequest
from app.core.catalog.provider import Answer as Prescribed
from app.core.domain.errors import Fault, Forbidden, KeyMissing, OpsConnectError, OutcomeUnknown, Unavailable
from app.core.domain.event import NewEvent
from app.core.domain.ids import EventId
from app.core.domain.refusal import NewRefusal, new_refusal
from app.core.domain.source import Source
from app.core.policies.group_commit import GroupCommit
from app.core.ports.event_store import Appended, Outcome
from app.core.ports.telemetry import Delivery
from app.core.use_cases.prepare_source import PrepareSource, Ready

MOST_FETCHES = 2
"""Of keys, for one request: a certificate, and what it was signed by."""


AS_USUAL = Prescribed(401)
"""What most providers hear of a request that is not genuine: our own words."""


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
    prescribed: "HandshakeAnswer | Prescribed | None" = None
    """What its provider insists on hearing."""


class Repeated(NamedTuple):
    """The delivery was kept before, as this event."""

    event_id: EventId
    prescribed: "HandshakeAnswer | Prescribed | None" = None


class Challenged(NamedTuple):
    """It was no event but a question of the provider's, with the answer to it. Nothing is kept."""

    answer: HandshakeAnswer


class Refused(NamedTuple):
    """Not kept. The code is for the sender; the detail of it is in the delivery's record, for the operator."""

    code: str
    faults: tuple[Fault, ...] = ()
    prescribed: Prescribed | None = None
    """What its provider insists on hearing of a request that is not genuine."""
    holds_secret: bool = False
    """Its body holds a secret, and must not be kept."""


Receipt = Accepted | Repeated | Challenged | Refused


Answer = Callable[[Receipt | OpsConnectError], None]
"""Takes what a request is answered with. Must not raise."""


class _Event(NamedTuple):
    """An event to be kept, and what is said when it is."""

    event: NewEvent
    prescribed: HandshakeAnswer | Prescribed | None


_Decision = _Event | Challenged | Refused | KeyWanted


@dataclass(frozen=True, slots=True)
class IngestWebhook:
    """Take in one webhook. When a receipt says accepted or repeated, the event's transaction has committed."""

    prepare: PrepareSource
    store: GroupCommit
    refused: Callable[[NewRefusal], None]
    """Takes what was refused, to look at later. Never waits."""
    offer: Callable[[Source, bytes], Awaitable[None]]
    """Keeps a secret that a challenge brings, or raises `Forbidden`."""
    follow: Callable[[Source, HandshakeAnswer], None]
    """Does what a challenge asks for beside its answer: calls an address of the provider. Never waits."""
    budget_seconds: float = 1.8
    """The longest that a request waits for what it needs, its commit included."""

    async def __call__(self, request: WebhookRequest) -> Receipt:
        """Take it in; what is refused is noted. Raises what `take_in` raises."""
        receipt = await self.take_in(request)
        if isinstance(receipt, Refused):
            self.note(request, receipt, whole=not receipt.holds_secret)
        return receipt

    async def take_in(self, request: WebhookRequest) -> Receipt:
        """Prove it, name it, keep it.

        Raises `Unavailable` or `OutcomeUnknown` (or another error of the store) when the sender must try again.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout_at(began + self.budget_seconds):
                ready = await self.prepare(request.source)
                if ready is None:
                    return Refused("unknown_source")
                decision = await self._decide(ready, request)
        except TimeoutError:
            raise Unavailable("what verifying needs did not come in time") from None
        if isinstance(decision, Challenged):
            return await self._with_secret(ready, request, decision)
        if isinstance(decision, Refused):
            return decision
        left = min(self.budget_seconds, ready.budget_seconds or math.inf) - (loop.time() - began)
        (outcome,) = await self.store.append((decision.event,), budget_seconds=max(left, 0.0))
        return _receipt(outcome, request.delivery, decision.prescribed)

    async def _decide(self, ready: Ready, request: WebhookRequest) -> "_Event | Challenged | Refused":
        """Decide, and fetch what keys that takes."""
        decision = _decided(ready, request)
        for _ in range(MOST_FETCHES):
            if not isinstance(decision, KeyWanted):
                return decision
            try:
                ready = await self.prepare.with_key(ready, decision.url)
            except KeyMissing as error:
                return _not_genuine(ready, request, NotGenuine("key_unknown", str(error)))
            decision = _decided(ready, request)
        if not isinstance(decision, KeyWanted):
            return decision
        detail = f"{decision.url} does not hold the key that signed this"
        return _not_genuine(ready, request, NotGenuine("key_unknown", detail))

    def at_once(self, ready: Ready, request: WebhookRequest, answer: Answer) -> bool:
        """Do the same without a coroutine, for a source that is prepared: what came of it, `answer` is told.

        A refusal is told before this returns; anything else when it is settled, within the store's budget. False when
        something must be awaited first: nothing was done then, and `__call__` can do it.
        """
        decision = _decided(ready, request)
        if isinstance(decision, _Event):
            event, prescribed = decision
            self.store.submit(event, partial(_settle, answer, request.delivery, prescribed), ready.budget_seconds)
            return True
        if isinstance(decision, KeyWanted) or (isinstance(decision, Challenged) and decision.answer.stores_secret):
            return False
        if isinstance(decision, Refused):
            self.note(request, decision)
            answer(decision)
        else:
            answer(self._challenged(ready, decision))
        return True

    def _challenged(self, ready: Ready, challenged: Challenged) -> Challenged:
        if challenged.answer.fetch is not None:
            self.follow(ready.source, challenged.answer)
        return challenged

    async def _with_secret(self, ready: Ready, request: WebhookRequest, challenged: Challenged) -> Challenged | Refused:
        secret = challenged.answer.stores_secret
        if secret is not None:
            try:
                async with asyncio.timeout(self.budget_seconds):
                    await self.offer(ready.source, secret)
            except Forbidden as error:
                request.delivery.detail = str(error)
                return Refused("registration_not_pending", holds_secret=True)
            except TimeoutError:
                raise OutcomeUnknown("the secret may or may not have been kept in time") from None
        return self._challenged(ready, challenged)

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


def _decided(ready: Ready, request: WebhookRequest) -> _Decision:
    """Prove a request genuine, and make the event that it brings."""
    source, delivery = ready.source, request.delivery
    delivery.source, delivery.provider = source.name, source.provider
    now = delivery.started_ns / 1e9
    signed = SignedRequest(delivery.method, _url(ready, request), request.headers, request.body)
    delivery.verify_started_ns = time.time_ns()
    verdict = ready.verify(signed, now) if not ready.missing else NotGenuine("secret_missing", ready.missing)
    delivery.verify_ended_ns = time.time_ns()
    if isinstance(verdict, KeyWanted):
        return verdict
    prescribed: HandshakeAnswer | Prescribed | None = ready.provider.good
    if ready.shakes_hands:
        asked = _handshake(ready, signed._replace(url=signed.url or request.target.decode("latin-1")), verdict, now)
        if asked is not None and not asked.after_event:
            return Challenged(asked)
        prescribed = asked or prescribed
    if ready.missing:
        raise Unavailable(ready.missing)
    if isinstance(verdict, NotGenuine):
        return _not_genuine(ready, request, verdict)
    received = source, verdict, delivery.started_ns, delivery.trace.traceparent
    event = lead_event(signed, received) if request.lead else event_of(ready.identify, signed, received)
    if not isinstance(event, NewEvent):
        delivery.detail = "; ".join(map(str, event))
        return Refused("invalid_lead", event)
    if ready.judge is not None and event.quarantine is None:
        event = event._replace(quarantine=ready.judge(signed))
    return _Event(event, prescribed)


def _url(ready: Ready, request: WebhookRequest) -> str:
    """Give the URL as the provider was given it, with the query that it added. Never what a proxy shows."""
    public = ready.source.public_url
    if public is None:
        # Only who signs no URL may see ours: there it tells of the query.
        return "" if ready.signs_url else request.target.decode("latin-1")
    _, question, query = request.target.partition(b"?")
    return f"{public}?{query.decode('latin-1')}" if question and "?" not in public else public


def _handshake(
    ready: Ready, signed: SignedRequest, verdict: Genuine | NotGenuine, now: float
) -> HandshakeAnswer | None:
    """Answer a challenge; None: it is none, or it had to be signed and is not."""
    credentials = ready.credentials
    genuine = isinstance(verdict, Genuine)
    if isinstance(verdict, Genuine) and verdict.matched_secret > 1:
        matched = credentials.secrets[verdict.matched_secret - 1]
        credentials = credentials._replace(secrets=(matched, *credentials.secrets))
    asked = handshakes.answer(ready.provider.name, signed, credentials, now)
    if asked is None:
        return None
    if genuine:
        return asked._replace(stores_secret=None)  # signed with it, so it is known
    return None if asked.needs_signature or asked.after_event else asked


def _not_genuine(ready: Ready, request: WebhookRequest, verdict: NotGenuine) -> Refused:
    request.delivery.detail = verdict.detail
    bad = ready.provider.bad
    return Refused(verdict.code, (), bad if bad != AS_USUAL else None)


def _settle(
    answer: Answer,
    delivery: Delivery,
    prescribed: HandshakeAnswer | Prescribed | None,
    outcome: Outcome | OpsConnectError,
) -> None:
    answer(outcome if isinstance(outcome, OpsConnectError) else _receipt(outcome, delivery, prescribed))


def _receipt(
    outcome: Outcome, delivery: Delivery, prescribed: HandshakeAnswer | Prescribed | None
) -> Accepted | Repeated:
    delivery.flush = outcome.flush
    delivery.event_id = outcome.event_id
    kind = Accepted if isinstance(outcome, Appended) else Repeated
    return kind(outcome.event_id, prescribed)
