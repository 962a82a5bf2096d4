"""Releasing: verified again as of the receipt, taken in exactly once, or still refused and nothing changed."""

import asyncio
import hmac
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from app.adapters.memory.audit_log import MemoryAuditLog
from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.memory.refusal_store import MemoryRefusalStore
from app.adapters.memory.source_registry import MemorySourceRegistry
from app.adapters.secrets.environment import EnvironmentSecrets
from app.core.domain.errors import OutcomeUnknown, Unavailable
from app.core.domain.ids import EventId, RefusalId
from app.core.domain.refusal import NewRefusal, Refusal, RefusalState
from app.core.domain.source import OwnScheme, Place, Source
from app.core.ports.event_reader import EventQuery
from app.core.use_cases.ingest_webhook import Receipt, WebhookRequest
from app.core.use_cases.release_refusal import Released, ReleaseRefusal, StillRefused
from tests.intake import intake_on
from tests.operators import ADA
from tests.refusals import T0, a_refusal, at

SOURCE = Source(
    name="demo",
    provider="hmac",
    verify=OwnScheme.of(header="x-signature"),
    secrets=("env:SECRET",),
    delivery_key=Place("header", "x-id"),
)
BODY = b'{"n":1}'


def signed(secret: str, body: bytes = BODY, **fields: object) -> NewRefusal:
    """A genuine request, refused because the source had another secret."""
    signature = hmac.digest(secret.encode(), body, "sha256").hex()
    headers = (("x-id", "1"), ("x-signature", signature), ("x-odd", "\xe9"))
    return a_refusal(7, **{"body": body, "headers": headers, **fields})


class Desk:
    """The use case on memory, with a source that has a secret."""

    def __init__(self, source: Source = SOURCE, secret: str = "right") -> None:
        self.refusals = MemoryRefusalStore()
        self.events = MemoryEventStore()
        self.audit = MemoryAuditLog()
        self.variables = {"SECRET": secret}
        sources, secrets = MemorySourceRegistry([source]), EnvironmentSecrets(self.variables)
        self.ingest = intake_on(sources, secrets, self.events)
        self.release = ReleaseRefusal(self.refusals, self.ingest.take_in, self.audit)

    async def seen(self, refusal: NewRefusal) -> Refusal:
        kept = await self.refusals.get(refusal.id)
        assert kept is not None
        return kept


async def test_with_the_right_secret_it_becomes_the_event_that_it_would_have_been() -> None:
    """Of the time at which it was received, in the trace in which it was."""
    desk, refusal = Desk(), signed("right")
    await desk.refusals.keep([refusal])
    released = await desk.release(refusal.id, ADA)
    assert isinstance(released, Released)
    assert not released.repeated
    event = await desk.events.get(released.event_id)
    assert event is not None
    assert (event.source, event.delivery_id, event.verification) == ("demo", "1", "hmac-sha256")
    assert (event.received_at, event.traceparent) == (refusal.received_at, refusal.traceparent)
    assert event.headers == refusal.headers
    assert await desk.events.body(event.id) == BODY
    assert desk.events.inbox == [event.id]
    seen = await desk.seen(refusal)
    assert (seen.state, seen.event_id) == (RefusalState.RELEASED, event.id)


async def test_still_forged_it_says_why_and_changes_nothing() -> None:
    desk, refusal = Desk(), signed("wrong")
    await desk.refusals.keep([refusal])
    answer = await desk.release(refusal.id, ADA)
    assert isinstance(answer, StillRefused)
    assert answer.code == "signature_mismatch"
    assert "x-signature" in answer.detail
    assert not desk.events.inbox
    assert (await desk.seen(refusal)).state is RefusalState.REFUSED


async def test_once_the_secret_is_corrected_it_is_let_in() -> None:
    desk, refusal = Desk(secret="mistyped"), signed("right")
    await desk.refusals.keep([refusal])
    assert isinstance(await desk.release(refusal.id, ADA), StillRefused)
    desk.variables["SECRET"] = "right"
    assert isinstance(await desk.release(refusal.id, ADA), Released)


async def test_released_again_it_names_the_same_event_and_asks_nobody() -> None:
    desk, refusal = Desk(), signed("right")
    await desk.refusals.keep([refusal])
    first = await desk.release(refusal.id, ADA)
    assert isinstance(first, Released)
    desk.variables["SECRET"] = "changed since"
    assert await desk.release(refusal.id, ADA) == Released(first.event_id, repeated=True)
    assert len(desk.events.inbox) == 1


async def test_released_by_many_at_once_it_is_one_event() -> None:
    desk, refusal = Desk(), signed("right")
    await desk.refusals.keep([refusal])
    answers = await asyncio.gather(*(desk.release(refusal.id, ADA) for _ in range(10)))
    assert len({answer.event_id for answer in answers if isinstance(answer, Released)}) == 1
    assert len(desk.events.inbox) == 1


async def test_what_its_sender_sent_again_meanwhile_is_a_repetition_of_that_event() -> None:
    desk, refused, again = Desk(), signed("right"), signed("right")
    await desk.refusals.keep([refused, again])
    first = await desk.release(again.id, ADA)
    assert isinstance(first, Released)
    assert await desk.release(refused.id, ADA) == Released(first.event_id, repeated=True)
    assert (await desk.seen(refused)).event_id == first.event_id


@pytest.mark.parametrize("error", [Unavailable("away"), OutcomeUnknown("perhaps")])
async def test_stopped_between_the_event_and_the_mark_it_can_be_released_again(error: Exception) -> None:
    class Forgetful(MemoryRefusalStore):
        async def mark_released(self, refusal_id: RefusalId, event_id: EventId) -> None:
            raise error

    desk, refusal = Desk(), signed("right")
    await desk.refusals.keep([refusal])
    forgetful = Forgetful()
    await forgetful.keep([refusal])
    with pytest.raises(type(error)):
        await ReleaseRefusal(forgetful, desk.ingest, desk.audit)(refusal.id, ADA)
    (event,) = await desk.events.find(EventQuery())
    assert await desk.release(refusal.id, ADA) == Released(event.id, repeated=True)


async def test_a_secret_that_is_not_here_is_said_and_nothing_is_changed() -> None:
    desk, refusal = Desk(secret=""), signed("right")
    await desk.refusals.keep([refusal])
    with pytest.raises(Unavailable, match="env:SECRET"):
        await desk.release(refusal.id, ADA)
    assert (await desk.seen(refusal)).state is RefusalState.REFUSED


async def test_a_lead_is_released_as_a_lead_and_an_invalid_one_is_still_refused() -> None:
    lead = json.dumps(dict.fromkeys(("lead_id", "email", "first_name", "last_name", "source"), "a@b.example")).encode()
    desk = Desk(replace(SOURCE, verify=None, secrets=()))
    good, bad = a_refusal(1, body=lead, lead=True), a_refusal(2, body=b"{}", lead=True)
    await desk.refusals.keep([good, bad])
    released = await desk.release(good.id, ADA)
    assert isinstance(released, Released)
    event = await desk.events.get(released.event_id)
    assert event is not None
    assert event.type == "lead"
    answer = await desk.release(bad.id, ADA)
    assert isinstance(answer, StillRefused)
    assert answer.code == "invalid_lead"
    assert "lead_id" in answer.detail


async def test_a_source_that_is_gone_meanwhile_refuses_it() -> None:
    desk, refusal = Desk(), signed("right", source="gone")
    await desk.refusals.keep([refusal])
    answer = await desk.release(refusal.id, ADA)
    assert isinstance(answer, StillRefused)
    assert answer.code == "unknown_source"


async def test_without_its_body_it_cannot_be_released() -> None:
    desk, refusal = Desk(), a_refusal(body=None, code="body_too_large")
    await desk.refusals.keep([refusal])
    answer = await desk.release(refusal.id, ADA)
    assert isinstance(answer, StillRefused)
    assert answer.code == "body_not_kept"


@pytest.mark.parametrize("refusal_id", ["019a0e2c-1f40-7000-8000-00000000cafe", "nothing", "", "\0", "x" * 999])
async def test_what_is_not_there_cannot_be_released(refusal_id: str) -> None:
    assert await Desk().release(refusal_id, ADA) is None


async def test_freshness_is_judged_as_of_the_receipt_to_the_microsecond() -> None:
    asked: list[WebhookRequest] = []
    desk = Desk()

    async def ingest(request: WebhookRequest) -> Receipt:
        asked.append(request)
        return await desk.ingest(request)

    received_at = at(0) - timedelta(days=6) + timedelta(microseconds=123_457)
    refusal = signed("right", received_at=received_at, url="/api/v1/webhooks/demo?a=1")
    await desk.refusals.keep([refusal])
    await ReleaseRefusal(desk.refusals, ingest, desk.audit)(refusal.id, ADA)
    (request,) = asked
    assert request.delivery.started_ns == T0 - 6 * 86_400 * 1_000_000_000 + 123_457_000
    assert (request.delivery.method, request.delivery.path) == ("POST", "/api/v1/webhooks/demo")
    assert request.headers[2] == (b"x-odd", b"\xe9")
