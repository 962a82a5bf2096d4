"""The real `opsconnect worker`, with jobs that were added directly, or with events that a source wants run."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal, cast

from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.postgres.connections import Budget, Connections
from app.adapters.postgres.event_store import PostgresEventStore
from app.adapters.postgres.job_store import PostgresJobStore
from app.core.domain.event import NewEvent
from app.core.domain.ids import event_id, job_id
from app.core.domain.job import NewJob
from app.core.domain.step import StepPlan
from app.core.ports.event_store import Appended
from tests.bench.database import Database
from tests.bench.jobs.contender import Look, Worker
from tests.bench.load import NOTHING, SECRET, SOURCE
from tests.bench.machinery import Machinery
from tests.bench.opsconnect import WATCHES_NO_REPLAYS
from tests.e2e.api import Api

Kind = Literal["jobs", "events"]
BATCH = 500
TABLES = "events, event_states, delivery_keys, body_digests, inbox, conflicts, open_jobs, finished_jobs"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
PATIENT = Budget(acquire_seconds=30, connect_seconds=30, call_seconds=60, lock_seconds=30, statement_seconds=60)

# Each finished job with its one execution; each event as processed, and nothing of it in the inbox.
JOBS_DONE = """
SELECT count(*) FROM finished_jobs
WHERE id >= $1::uuid AND status = 'completed' AND attempt = 1 AND cardinality(executions) = 1
  AND executions[1]::json->>'status' = 'completed' AND (executions[1]::json->>'finished_at') IS NOT NULL
"""
EVENTS_DONE = f"""
SELECT ({JOBS_DONE}), (SELECT count(*) FROM event_states WHERE event_id >= $1::uuid AND state = 'processed')
"""


class OpsConnect(Worker):
    """One worker process on a database of its own."""

    def __init__(
        self,
        name: str,
        kind: Kind,
        machinery: Machinery,
        folder: Path,
        *,
        spans: bool = False,
        more: Mapping[str, str] = NOTHING,
    ) -> None:
        super().__init__(name, machinery, folder, other=False)
        self._kind = kind
        self.database = Database(machinery.servers)
        word = self.log.stem
        traced = {"OTEL_SDK_DISABLED": "false", "OTEL_EXPORTER_OTLP_ENDPOINT": machinery.sink.endpoint(word)}
        self.api = Api(
            self.database.url,
            machinery.servers.redis.url(),
            folder / f"{word}-api.log",
            more={"BENCH_SECRET": SECRET, **WATCHES_NO_REPLAYS, **(traced if spans else {}), **more},
        )
        self.api.apply({**SOURCE, "run": "echo"})
        self.look = Look(self.database.url)
        self._since = event_id(0)
        self._fills = 0

    def empty(self) -> None:
        self._since = event_id(time.time_ns())
        self._truncate()

    def _truncate(self) -> None:
        self.database.run(f"TRUNCATE {TABLES}", "CHECKPOINT")

    def start(self) -> None:
        self.run([sys.executable, "-m", "app", "worker"], self.api.environment)

    def fill(self, jobs: int) -> None:
        self._fills += 1
        add = _add_jobs if self._kind == "jobs" else _add_events
        asyncio.run(_filled(self.database.url, jobs, lambda c, n, first: add(c, n, f"{self._fills}-{first}")))
        self.look.run("ANALYZE open_jobs", "ANALYZE inbox", "ANALYZE events", "NOTIFY opsconnect_work")

    def left(self) -> bool:
        return bool(self.look.row("SELECT EXISTS (SELECT FROM open_jobs) OR EXISTS (SELECT FROM inbox)")[0])

    def recorded(self) -> tuple[int, ...]:
        return self.look.row(JOBS_DONE if self._kind == "jobs" else EVENTS_DONE, self._since)

    def close(self) -> None:
        self.look.close()


async def _filled(url: str, number: int, add: Callable[[Connections, int, int], Awaitable[None]]) -> None:
    connections = Connections(url, budget=PATIENT, largest=1)
    try:
        for first in range(0, number, BATCH):
            await add(connections, min(BATCH, number - first), first)
    finally:
        await connections.close()


async def _add_jobs(connections: Connections, number: int, _: str) -> None:
    step = StepPlan("echo", "echo", "")
    store = PostgresJobStore(connections, cast("AsyncEngine", None))  # which is for looking
    await store.add(
        [
            NewJob(job_id(time.time_ns()), "echo", (step,), payload=f'{{"number":{each}}}', traceparent=TRACEPARENT)
            for each in range(number)
        ]
    )


async def _add_events(connections: Connections, number: int, run: str) -> None:
    outcomes = await PostgresEventStore(connections).append([_event(f"{run}-{each}") for each in range(number)])
    assert all(isinstance(outcome, Appended) for outcome in outcomes)


def _event(delivery_id: str) -> NewEvent:
    """Make what intake makes of a webhook that says as little as the others' tasks are told: a number."""
    body = b'{"number":%d}' % int(delivery_id.rpartition("-")[2])
    return NewEvent(
        id=event_id(time.time_ns()),
        source="bench",
        provider="hmac",
        key=sha256(f"bench\0{delivery_id}".encode()).digest(),
        delivery_id=delivery_id,
        type=None,
        received_at=datetime.now(UTC),
        headers=(("content-type", "application/json"), ("user-agent", "bench"), ("x-delivery-id", delivery_id)),
        content_type="application/json",
        body=body,
        digest=sha256(body).digest(),
        verification="hmac-sha256",
        traceparent=TRACEPARENT,
        quarantine=None,
    )
