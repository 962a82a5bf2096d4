"""The main job, as its use case tells it: proved first, judged after, named and kept."""

import asyncio
import hmac
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.memory.provider_keys import MemoryProviderKeys
from app.adapters.memory.source_registry import MemorySourceRegistry
from app.adapters.schemas.json_schema import JsonSchemas
from app.adapters.secrets.environment import EnvironmentSecrets
from app.core.domain.errors import Unavailable
from app.core.domain.refusal import NewRefusal
from app.core.domain.source import ListedScheme, OwnScheme, Place, Source
from app.core.ports.telemetry import Delivery, Trace
from app.core.use_cases.ingest_webhook import Accepted, Receipt, Refused, Repeated, WebhookRequest
from app.core.use_cases.prepare_source import PrepareSource
from tests.intake import intake_on

SECRET = b"a secret"
LEAD = json.dumps(dict.fromkeys(("lead_id", "email", "first_name", "last_name", "source"), "a@b.example")).encode()


@dataclass(frozen=True)
class AnyTrace(Trace):
    """A trace of no consequence."""

    trace_id: str = "0af7651916cd43dd8448eb211c80319c"
    traceparent: str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Intake:
    """The use case on memory, and the source that a test needs."""

    def __init__(self, source: Source, **variables: str) -> None:
        self.store = MemoryEventStore()
        self.source = source
        self.noted: list[NewRefusal] = []
        sources, secrets = MemorySourceRegistry([source]), EnvironmentSecrets(variables)
        self.ingest = intake_on(sources, secrets, self.store, noted=self.noted.append)
        self.delivery: Delivery

    async def __call__(self, body: bytes, *, lead: bool = False, secret: bytes | None = None, **given: str) -> Receipt:
        headers = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in given.items()]
        if secret is not None:
            headers.append((b"x-signature", hmac.digest(secret, body, "sha256").hex().encode()))
        self.delivery = Delivery(AnyTrace(), "POST", "/", "", 1_795_000_000_000_000_000)
        return await self.ingest(WebhookRequest(self.source.name, headers, body, self.delivery, b"/", lead))


OPEN = Source(name="open", provider="test", verify=None)
SIGNED = replace(OPEN, name="signed", verify=OwnScheme.of(header="x-signature"), secrets=("env:SECRET",))


async def test_a_request_is_proved_before_anything_in_its_body_is_judged() -> None:
    """Whoever cannot sign learns nothing of what a valid lead looks like, and costs no parsing."""
    intake = Intake(SIGNED, SECRET="a secret")
    for body in (b"", b"[" * 100_000, b'{"lead_id":', b"\xff", LEAD):
        refused = await intake(body, lead=True)
        assert refused == Refused("signature_missing")
        assert await intake(body, lead=True, secret=b"wrong") == Refused("signature_mismatch")
    judged = await intake(b"{}", lead=True, secret=SECRET)
    assert isinstance(judged, Refused)
    assert judged.code == "invalid_lead"
    assert isinstance(await intake(LEAD, lead=True, secret=SECRET), Accepted)


@pytest.mark.parametrize("variables", [{}, {"SECRET": ""}, {"SECRET": " \n"}])
async def test_without_a_secret_nothing_is_taken_in_not_even_what_is_signed_with_nothing(
    variables: dict[str, str],
) -> None:
    intake = Intake(SIGNED, **variables)
    with pytest.raises(Unavailable, match="env:SECRET"):
        await intake(b"{}", secret=b"")
    assert not intake.store.inbox


async def test_the_second_secret_proves_as_well_and_the_record_says_so() -> None:
    intake = Intake(replace(SIGNED, secrets=("env:NEW", "env:OLD")), NEW="new", OLD="old")
    receipt = await intake(b"{}", secret=b"old")
    assert isinstance(receipt, Accepted)
    kept = await intake.store.get(receipt.event_id)
    assert kept is not None
    assert kept.verification == "hmac-sha256#2"


async def test_what_makes_two_deliveries_the_same() -> None:
    """The header where it is named and sent, the body's own id where that is named, else the bytes."""
    by_header = Intake(replace(OPEN, delivery_key=Place("header", "x-id")))
    assert isinstance(await by_header(b"1", x_id="a"), Accepted)
    assert isinstance(await by_header(b"2", x_id="a"), Repeated)
    assert isinstance(await by_header(b"1", x_id="b"), Accepted)
    assert isinstance(await by_header(b"1"), Accepted)
    assert isinstance(await by_header(b"1", x_id=" "), Repeated)
    by_body = Intake(replace(OPEN, delivery_key=Place("body", "id")))
    assert isinstance(await by_body(b'{"id":7}', content_type="application/json"), Accepted)
    assert isinstance(await by_body(b'{"id":7,"n":1}', content_type="application/json"), Repeated)
    assert isinstance(await by_body(b'{"id":7}', content_type="text/plain"), Repeated), "it looks like JSON"
    assert isinstance(await by_body(b"id: 7", content_type="text/plain"), Accepted)


async def test_an_unreadable_body_is_quarantined_only_where_something_is_read_from_it() -> None:
    careless, reading = Intake(OPEN), Intake(replace(OPEN, type=Place("body", "type")))
    for intake, in_inbox in ((careless, 1), (reading, 0)):
        receipt = await intake(b"{", content_type="application/json")
        assert isinstance(receipt, Accepted)
        assert len(intake.store.inbox) == in_inbox


async def test_the_record_names_source_and_event_and_what_the_operator_must_know() -> None:
    intake = Intake(SIGNED, SECRET="a secret")
    await intake(b"{}", x_signature="00")
    assert (intake.delivery.source, intake.delivery.provider) == ("signed", "test")
    assert "x-signature" in intake.delivery.detail
    receipt = await intake(b"{}", secret=SECRET)
    assert isinstance(receipt, Accepted)
    assert intake.delivery.event_id == receipt.event_id
    assert intake.delivery.flush is not None


async def test_what_is_refused_is_noted_with_all_that_a_person_needs_and_what_is_kept_is_not() -> None:
    intake = Intake(SIGNED, SECRET="a secret")
    await intake(b"body", secret=b"wrong", content_type="text/plain")
    await intake(b"body", secret=SECRET)
    (refusal,) = intake.noted
    assert (refusal.source, refusal.code, refusal.body) == ("signed", "signature_mismatch", b"body")
    assert "x-signature" in dict(refusal.headers)
    assert "x-signature" in refusal.detail


class HungSecrets(EnvironmentSecrets):
    """A store that never answers, as a file on a disk that is gone."""

    async def resolve(self, reference: str) -> bytes:
        await asyncio.Event().wait()
        return b""


async def test_a_secret_that_does_not_come_costs_no_more_than_the_budget() -> None:
    sources, secrets = MemorySourceRegistry([SIGNED]), HungSecrets({})
    ingest = intake_on(sources, secrets, MemoryEventStore(), budget_seconds=0.05)
    delivery = Delivery(AnyTrace(), "POST", "/", "", 1_795_000_000_000_000_000)
    with pytest.raises(Unavailable, match="did not come in time"):
        await ingest(WebhookRequest("signed", [], b"{}", delivery, b"/"))


async def test_a_provider_that_waits_a_second_is_answered_within_it() -> None:
    """Sentry hangs up then, and sends it never again."""
    sentry = replace(SIGNED, provider="sentry", verify=ListedScheme())
    prepare = PrepareSource(
        MemorySourceRegistry([sentry, replace(sentry, name="github", provider="github")]),
        EnvironmentSecrets({"SECRET": "a secret"}),
        MemoryProviderKeys({}),
        JsonSchemas(),
    )
    hurried, patient = await prepare("signed"), await prepare("github")
    assert hurried is not None
    assert patient is not None
    assert hurried.budget_seconds == pytest.approx(0.8)
    assert patient.budget_seconds is None


async def test_a_secret_proves_nothing_after_its_last_moment_and_is_not_missed_then() -> None:
    """While one is being replaced both prove; afterwards nobody need keep the old one."""
    over = datetime(2026, 11, 1, tzinfo=UTC)
    source = replace(SIGNED, secrets=("env:NEW", "env:OLD"), expiries=(("env:OLD", over),))
    variables = {"NEW": "new", "OLD": "old"}
    for moment, old_one in ((over, Accepted), (over + timedelta(seconds=1), Refused)):
        intake = Intake(source, **variables)
        object.__setattr__(intake.ingest.prepare, "now", lambda moment=moment: moment)
        assert isinstance(await intake(b"1", secret=b"old"), old_one)
        assert isinstance(await intake(b"2", secret=b"new"), Accepted)
        variables.pop("OLD", None)


async def test_a_payload_that_does_not_fit_its_schema_is_kept_apart_and_never_refused() -> None:
    """With the path of the mismatch, and nothing of what stands there."""
    schema = '{"type":"object","required":["id"],"properties":{"id":{"type":"integer"}}}'
    intake = Intake(replace(OPEN, schema=schema))
    for body, reason in (
        (b'{"id":7}', None),
        (b'{"id":"canary"}', "id"),
        (b"{}", "id"),
        (b"{", "JSON"),
        (b"", "object"),
    ):
        receipt = await intake(body, content_type="application/json")
        assert isinstance(receipt, Accepted)
        event = await intake.store.get(receipt.event_id)
        assert event is not None
        if reason is None:
            assert event.reason is None
        else:
            assert reason in (event.reason or "")
            assert "canary" not in (event.reason or "")
    assert len(intake.store.inbox) == 1
