"""Letting a refused request in after all, once it can be proved genuine: its source has the right secret now, say.

It is verified again, as of the time at which it was received: with the secrets of now, and as old as it was then. Then
it goes the way of every request, so its delivery key decides: it becomes an event exactly once, however often and by
however many it is released, and whether or not its sender has sent it again meanwhile.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.core.domain.audit import Action, Actor
from app.core.domain.ids import EventId, RefusalId, is_id
from app.core.domain.refusal import Refusal
from app.core.ports.audit_log import AuditLog
from app.core.ports.refusal_store import RefusalStore
from app.core.ports.telemetry import Delivery, Trace
from app.core.use_cases.ingest_webhook import Challenged, Receipt, Refused, Repeated, WebhookRequest

Ingest = Callable[[WebhookRequest], Awaitable[Receipt]]
"""Takes a request in, or says why not; judges how old a signature is as of `delivery.started_ns`."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Released:
    """The request is an event now; its transaction has committed."""

    event_id: EventId
    repeated: bool
    """It was one before: released already, or sent again and accepted meanwhile."""


@dataclass(frozen=True, slots=True)
class StillRefused:
    """It is refused again, and nothing was changed."""

    code: str
    """`body_not_kept`, or what a sender would be told."""
    detail: str
    """For the operator: what exactly is wrong."""


@dataclass(frozen=True, slots=True)
class ReleaseRefusal:
    """Verify one refused request again and take it in."""

    refusals: RefusalStore
    ingest: Ingest
    audit: AuditLog

    async def __call__(self, refusal_id: str, by: Actor) -> Released | StillRefused | None:
        """Release one; None for an id that names nothing.

        Raises what taking in raises: `Unavailable`, `OutcomeUnknown` or another error of the store. Releasing it again
        is safe, and finds out what became of it.
        """
        refusal = await self.refusals.get(RefusalId(refusal_id)) if is_id(refusal_id) else None
        if refusal is None:
            return None
        if refusal.event_id is not None:
            return Released(refusal.event_id, repeated=True)
        if refusal.body is None:
            return StillRefused("body_not_kept", "it was refused before its body was read: have it sent again")
        await self.audit.append(by.does(Action.REFUSAL_RELEASE, refusal.id, source=refusal.source, code=refusal.code))
        delivery = _delivery(refusal)
        receipt = await self.ingest(_request(refusal, refusal.body, delivery))
        if isinstance(receipt, Refused):
            return StillRefused(receipt.code, delivery.detail)
        if isinstance(receipt, Challenged):
            return StillRefused("no_event", "it is a question of the provider's, which brings no event")
        # Whoever is stopped here releases it again, and is told of the same event.
        await self.refusals.mark_released(refusal.id, receipt.event_id)
        return Released(receipt.event_id, repeated=isinstance(receipt, Repeated))


def _request(refusal: Refusal, body: bytes, delivery: Delivery) -> WebhookRequest:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in refusal.headers or ()]
    return WebhookRequest(refusal.source, headers, body, delivery, refusal.url.encode("latin-1"), refusal.lead)


def _delivery(refusal: Refusal) -> Delivery:
    return Delivery(
        trace=_KeptTrace(refusal),
        method=refusal.method,
        path=refusal.url.partition("?")[0],
        client=refusal.client,
        started_ns=(refusal.received_at - _EPOCH) // timedelta(microseconds=1) * 1_000,
        size=refusal.size or 0,
    )


@dataclass(frozen=True, slots=True)
class _KeptTrace(Trace):
    """The trace in which the request was refused: the event continues it."""

    refusal: Refusal

    @property
    def trace_id(self) -> str:
        return self.refusal.trace_id

    @property
    def traceparent(self) -> str:
        return self.refusal.traceparent
