"""What an operator is told when releasing meets a store that fails: never a 500, always whether to try again."""

import httpx
import pytest

from app.adapters.memory.connection_registry import MemoryConnectionRegistry
from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.memory.refusal_store import MemoryRefusalStore
from app.adapters.memory.registrations import MemoryRegistrations
from app.adapters.memory.source_registry import MemorySourceRegistry
from app.adapters.sealing.aes_gcm import AesGcmSealing
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.web.api import make_api
from app.core.application import Application
from app.core.domain.errors import OutcomeUnknown, RowBlocked, RowRejected, Unavailable
from app.core.use_cases.browse_connections import BrowseConnections
from app.core.use_cases.browse_events import BrowseEvents
from app.core.use_cases.browse_providers import BrowseProviders
from app.core.use_cases.browse_refusals import BrowseRefusals
from app.core.use_cases.browse_sources import BrowseSources
from app.core.use_cases.check_health import CheckHealth
from app.core.use_cases.ingest_webhook import Receipt, WebhookRequest
from app.core.use_cases.offer_secret import OfferSecret
from app.core.use_cases.register_source import RegisterSource
from app.core.use_cases.release_refusal import ReleaseRefusal
from tests.applying import applying
from tests.intake import intake_on
from tests.refusals import a_refusal


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (OutcomeUnknown("Postgres: canary"), "outcome_unknown", "may or may not have been kept"),
        (RowBlocked("Postgres: canary"), "unavailable", "Try again"),
        (RowRejected("Postgres: canary"), "unavailable", "Try again"),
        (Unavailable("source demo cannot verify: env:A is not set"), "unavailable", "env:A is not set"),
    ],
)
async def test_a_release_that_fails_says_whether_to_try_again(error: Exception, code: str, detail: str) -> None:
    async def failing(_: WebhookRequest) -> Receipt:
        raise error

    events, refusals = MemoryEventStore(), MemoryRefusalStore()
    sources, secrets = MemorySourceRegistry(), EnvironmentSecrets({})
    registrations, sealing = MemoryRegistrations(), AesGcmSealing([], secrets)
    application = Application(
        ingest_webhook=intake_on(sources, secrets, events),
        browse_events=BrowseEvents(events),
        browse_refusals=BrowseRefusals(refusals),
        browse_providers=BrowseProviders(),
        release_refusal=ReleaseRefusal(refusals, failing),
        check_health=CheckHealth(needed=(), wanted=()),
        apply_configuration=applying(secrets),
        browse_connections=BrowseConnections(MemoryConnectionRegistry(), sources),
        browse_sources=BrowseSources(sources, registrations, ""),
        register_source=RegisterSource(sources, registrations, sealing),
        offer_secret=OfferSecret(registrations, sealing),
    )
    refusal = a_refusal()
    await refusals.keep([refusal])
    api = make_api(application, version="1", draining=lambda: False, metrics=lambda: (b"", "text/plain"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://test") as client:
        answer = await client.post(f"/api/v1/refusals/{refusal.id}/release")
    assert (answer.status_code, answer.json()["code"]) == (503, code)
    assert detail in answer.json()["detail"]
    assert "canary" not in answer.text
    assert answer.headers["retry-after"]
