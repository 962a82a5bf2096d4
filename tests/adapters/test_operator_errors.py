"""What an operator is told when a store fails: never a 500, always whether to try again."""

from collections.abc import Sequence

import httpx
import pytest

from app.adapters.memory.audit_log import MemoryAuditLog
from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.memory.job_store import MemoryJobStore
from app.adapters.memory.jobs import Jobs
from app.adapters.postgres.connections import Budget, Connections
from app.adapters.postgres.engine import make_engine
from app.adapters.postgres.job_store import PostgresJobStore
from app.adapters.web.guard import ScopeGuard
from app.core.domain.audit import AuditEntry, NewAuditEntry
from app.core.domain.errors import OutcomeUnknown, RowBlocked, RowRejected, Unavailable
from app.core.domain.ids import JobId, job_id
from app.core.domain.job import NewJob
from app.core.ports.job_store import Illegal, JobStore, Moved
from app.core.use_cases.ingest_webhook import Receipt, WebhookRequest
from tests.applications import InMemory
from tests.jobs import a_job
from tests.refusals import a_refusal

NOBODY_THERE = "postgresql://nobody@127.0.0.1:1/nothing"
QUICK = Budget(acquire_seconds=1, connect_seconds=1, call_seconds=1)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Doubtful(MemoryJobStore):
    """The answer to each commit is lost."""

    async def add(self, jobs: Sequence[NewJob]) -> None:
        raise OutcomeUnknown("Postgres: canary")

    async def rerun(self, job_id: JobId) -> Moved | Illegal | None:
        raise OutcomeUnknown("Postgres: canary")


def unreachable() -> PostgresJobStore:
    connections = Connections(NOBODY_THERE, budget=QUICK, largest=1)
    return PostgresJobStore(connections, make_engine(NOBODY_THERE, budget=QUICK, largest=1))


def client(jobs: JobStore) -> httpx.AsyncClient:
    """The API on stores in memory but for the jobs', without a process around it."""
    api = InMemory(jobs=jobs).api
    transport = httpx.ASGITransport(ScopeGuard(api, api.routes, None))
    return httpx.AsyncClient(transport=transport, base_url="http://test/api/v1")


async def asked(house: InMemory, method: str, path: str, **more: object) -> httpx.Response:
    """Ask as the one who needs no key."""
    api = house.api
    transport = httpx.ASGITransport(ScopeGuard(api, api.routes, None))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, **more)  # type: ignore[arg-type]


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

    house, refusal = InMemory(failing), a_refusal()
    await house.refusals.keep([refusal])
    told(await asked(house, "POST", f"/api/v1/refusals/{refusal.id}/release"), code, detail)


STARTS = [("/jobs", {"connector_name": "echo", "payload": 1}), ("/pipeline", {"initial_value": 1})]


@pytest.mark.parametrize(("path", "content"), STARTS)
async def test_a_job_that_may_have_been_started_is_not_simply_to_be_started_again(
    path: str, content: dict[str, object]
) -> None:
    jobs, job = Jobs(MemoryEventStore()), a_job()
    jobs.add(job)
    await MemoryJobStore(jobs).cancel(job.id)
    async with client(Doubtful(jobs)) as http:
        answer = await http.post(path, json=content)
        told(answer, "outcome_unknown", "The job may or may not have been started. Look at GET /api/v1/jobs")
        again = await http.post(f"/jobs/{job.id}/retry")
        told(again, "outcome_unknown", f"Look at GET /api/v1/jobs/{job.id[:8]}")


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


class Away(MemoryAuditLog):
    async def append(self, entry: NewAuditEntry) -> AuditEntry:
        raise Unavailable(f"nobody writes {entry.action} down")


async def test_what_cannot_be_written_down_is_not_done() -> None:
    """503, and neither a release nor a key nor a revocation."""

    async def taken_in(_: WebhookRequest) -> Receipt:
        raise AssertionError("it was released")

    house, refusal = InMemory(taken_in), a_refusal()
    await house.refusals.keep([refusal])
    created = await asked(house, "POST", "/api/v1/keys", json={"name": "old", "scope": "read"})
    assert created.status_code == 201
    house.audit = Away()
    for method, path, more in (
        ("POST", f"/api/v1/refusals/{refusal.id}/release", {}),
        ("POST", "/api/v1/keys", {"json": {"name": "new", "scope": "read"}}),
        ("DELETE", f"/api/v1/keys/{created.json()['id']}", {}),
    ):
        answer = await asked(house, method, path, **more)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), path
    (key,) = (await asked(house, "GET", "/api/v1/keys")).json()["items"]
    assert (key["name"], key["state"]) == ("old", "valid")
