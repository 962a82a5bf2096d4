"""What an operator is told when a store fails: never a 500, always whether to try again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import httpx
import pytest

from app.adapters.memory.connection_registry import MemoryConnectionRegistry
from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.memory.refusal_store import MemoryRefusalStore
from app.adapters.memory.registrations import MemoryRegistrations
from app.adapters.memory.source_registry import MemorySourceRegistry
from app.adapters.postgres.connections import Budget, Connections
from app.adapters.postgres.engine import make_engine
from app.adapters.postgres.job_store import PostgresJobStore
from app.adapters.sealing.aes_gcm import AesGcmSealing
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.web.api import make_api
from app.core.application import Application
from app.core.domain.errors import OutcomeUnknown, RowBlocked, RowRejected, Unavailable
from app.core.domain.ids import JobId, job_id
from app.core.domain.job import NewJob
from app.core.ports.job_store import Illegal, JobStore, Moved
from app.core.ports.wake_ups import WakeUps
from app.core.use_cases.browse_connections import BrowseConnections
from app.core.use_cases.browse_connectors import BrowseConnectors
from app.core.use_cases.browse_events import BrowseEvents
from app.core.use_cases.browse_jobs import BrowseJobs
from app.core.use_cases.browse_providers import BrowseProviders
from app.core.use_cases.browse_refusals import BrowseRefusals
from app.core.use_cases.browse_sources import BrowseSources
from app.core.use_cases.change_job import ChangeJob
from app.core.use_cases.check_health import CheckHealth
from app.core.use_cases.ingest_webhook import Receipt, WebhookRequest
from app.core.use_cases.offer_secret import OfferSecret
from app.core.use_cases.register_source import RegisterSource
from app.core.use_cases.release_refusal import ReleaseRefusal
from app.core.use_cases.start_job import StartJob
from tests.applying import applying
from tests.intake import intake_on
from tests.refusals import a_refusal

NOBODY_THERE = "postgresql://nobody@127.0.0.1:1/nothing"
QUICK = Budget(acquire_seconds=1, connect_seconds=1, call_seconds=1)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Unheard(WakeUps):
    def hint(self) -> None:
        pass

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Doubtful(PostgresJobStore):
    """The answer to each commit is lost."""

    async def add(self, jobs: Sequence[NewJob]) -> None:
        raise OutcomeUnknown("Postgres: canary")

    async def rerun(self, job_id: JobId) -> Moved | Illegal | None:
        raise OutcomeUnknown("Postgres: canary")


async def unused(_: WebhookRequest) -> Receipt:
    raise AssertionError


def unreachable(kind: type[PostgresJobStore] = PostgresJobStore) -> PostgresJobStore:
    connections = Connections(NOBODY_THERE, budget=QUICK, largest=1)
    return kind(connections, make_engine(NOBODY_THERE, budget=QUICK, largest=1))


def client(
    jobs: JobStore,
    refusals: MemoryRefusalStore | None = None,
    take_in: Callable[[WebhookRequest], Awaitable[Receipt]] = unused,
) -> httpx.AsyncClient:
    """The API on stores in memory, without a process around it."""
    events, kept = MemoryEventStore(), refusals or MemoryRefusalStore()
    sources, secrets = MemorySourceRegistry(), EnvironmentSecrets({})
    registrations, sealing = MemoryRegistrations(), AesGcmSealing([], secrets)
    application = Application(
        ingest_webhook=intake_on(sources, secrets, events),
        browse_events=BrowseEvents(events),
        browse_refusals=BrowseRefusals(kept),
        browse_providers=BrowseProviders(),
        release_refusal=ReleaseRefusal(kept, take_in),
        check_health=CheckHealth(needed=(), wanted=()),
        apply_configuration=applying(secrets),
        browse_connections=BrowseConnections(MemoryConnectionRegistry(), sources),
        browse_sources=BrowseSources(sources, registrations, ""),
        register_source=RegisterSource(sources, registrations, sealing),
        offer_secret=OfferSecret(registrations, sealing),
        browse_connectors=BrowseConnectors({}),
        start_job=StartJob(jobs, Unheard()),
        change_job=ChangeJob(jobs, Unheard()),
        browse_jobs=BrowseJobs(jobs, events),
    )
    api = make_api(
        application,
        version="1",
        draining=lambda: False,
        metrics=lambda: (b"", "text/plain"),
        traceparent=lambda: TRACE,
        body_limit_bytes=1_000_000,
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://test/api/v1")


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

    refusals, refusal = MemoryRefusalStore(), a_refusal()
    await refusals.keep([refusal])
    async with client(unreachable(), refusals, failing) as http:
        told(await http.post(f"/refusals/{refusal.id}/release"), code, detail)


STARTS = [("/jobs", {"connector_name": "echo", "payload": 1}), ("/pipeline", {"initial_value": 1})]


@pytest.mark.parametrize(("path", "content"), STARTS)
async def test_a_job_that_may_have_been_started_is_not_simply_to_be_started_again(
    path: str, content: dict[str, object]
) -> None:
    async with client(unreachable(Doubtful)) as http:
        answer = await http.post(path, json=content)
        told(answer, "outcome_unknown", "The job may or may not have been started. Look at GET /api/v1/jobs")
        again = await http.post(f"/jobs/{job_id(0)}/retry")
        told(again, "outcome_unknown", f"Look at GET /api/v1/jobs/{job_id(0)[:8]}")


async def test_without_a_database_jobs_are_neither_started_nor_changed_nor_shown() -> None:
    async with client(unreachable()) as http:
        answers = [await http.post(path, json=content) for path, content in STARTS]
        answers += [await http.post(f"/jobs/{job_id(0)}/{change}") for change in ("retry", "cancel")]
        answers += [await http.get(path) for path in ("/jobs", f"/jobs/{job_id(0)}", f"/pipeline/{job_id(0)}")]
    for answer in answers:
        told(answer, "unavailable", "Try again later")


def told(answer: httpx.Response, code: str, detail: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, code)
    assert detail in answer.json()["detail"]
    assert "canary" not in answer.text
    assert answer.headers["retry-after"]
