"""The embedded engine, put together: what runs jobs in this process, in `opsconnect worker` and in `opsconnect dev`."""

import faulthandler
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from app.adapters.engines.embedded import EmbeddedEngine, Pace
from app.adapters.engines.heart import Heart
from app.adapters.postgres.backlog import Backlog
from app.adapters.postgres.connections import Budget, Connections
from app.adapters.postgres.inbox import PostgresInbox
from app.adapters.postgres.job_claims import PostgresJobClaims
from app.adapters.postgres.workers import PostgresWorkers
from app.adapters.telemetry.job_metrics import JobMetrics
from app.adapters.telemetry.job_records import RecordedJobs
from app.adapters.telemetry.tracing import Tracing
from app.core.domain.connection import Connection
from app.core.domain.retry import usual_policy
from app.core.policies.batched_claims import BatchedClaims
from app.core.ports.workers import Workers
from app.core.use_cases.plan_jobs import PlanJobs
from app.core.use_cases.run_job import RunJob
from app.core.use_cases.try_step import TryStep
from app.infra.container import Container, failed
from app.infra.logs import Logs
from app.infra.supervisor import Duty
from app.settings import Settings

STOP_SECONDS = 2.5
"""For giving back and leaving, beyond the time for its jobs; it needs two at most."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Engine:
    """What `open_engine` made."""

    duties: tuple[Duty, ...]
    metrics: JobMetrics
    stop_seconds: float
    """How long the duties may take to finish."""


@asynccontextmanager
async def open_engine(container: Container, tracing: Tracing, logs: Logs) -> AsyncIterator[Engine]:
    """Put an engine together on a container; its connections are its own, so that jobs hold up nobody else."""
    settings = container.settings
    async with AsyncExitStack() as stack:
        connections = Connections(
            container.database_url,
            budget=Budget(acquire_seconds=5, connect_seconds=2, call_seconds=31, statement_seconds=30, by_index=True),
            largest=settings.worker_postgres_connections,
        )
        stack.push_async_callback(connections.close)
        backlog = Backlog(connections, failed("backlog.not_counted"))
        metrics = JobMetrics(backlog)
        telemetry = RecordedJobs(tracing.provider, metrics, logs.line)
        claims = BatchedClaims(PostgresJobClaims(connections), on_failure=failed("jobs.not_written"))
        try_step = TryStep(container.connectors, _finder(container), container.secrets, settings.step_seconds)
        engine = EmbeddedEngine(
            claims,
            PlanJobs(
                PostgresInbox(connections),
                container.sources.at_hand,
                telemetry,
                usual_policy(settings.retry_first_seconds),
            ),
            RunJob(claims, try_step, telemetry),
            container.wake_ups,
            lambda on_lost: _heart(container.database_url, settings, on_lost),
            Pace(
                concurrency=settings.worker_concurrency,
                poll_seconds=settings.worker_poll_seconds,
                rescue_seconds=settings.worker_rescue_seconds,
                drain_seconds=settings.worker_drain_seconds,
            ),
            on_failure=failed("worker.hindered"),
        )
        metrics.running = lambda: engine.running
        metrics.leases_lost = lambda: engine.leases_lost
        yield Engine((engine, backlog), metrics, settings.worker_drain_seconds + STOP_SECONDS)


def _finder(container: Container) -> Callable[[str], Awaitable[Connection | None]]:
    async def find(name: str) -> Connection | None:
        known = container.connected.known(name)
        # A connector is not asked for at each job whether somebody has just now given a connection its name.
        if known is not None or name in container.connectors:
            return known
        return await container.connected.get(name)

    return find


def _heart(database_url: str, settings: Settings, on_lost: Callable[[], None]) -> Heart:
    @asynccontextmanager
    async def workers() -> AsyncIterator[Workers]:
        # So short that another try fits into what is left of the lease.
        longest = min(3.0, settings.worker_lease_seconds / 5)
        budget = Budget(longest, longest, longest, lock_seconds=longest / 2, statement_seconds=longest)
        connections = Connections(database_url, budget=budget, largest=1)
        try:
            yield PostgresWorkers(connections)
        finally:
            await connections.close()

    def lost() -> None:
        _log.warning(
            "worker.lease_lost", hint="its jobs were stopped, and others take them; it goes on with a new lease"
        )
        on_lost()

    return Heart(
        workers,
        name=f"{socket.gethostname()}:{os.getpid()}",
        lease_seconds=settings.worker_lease_seconds,
        heartbeat_seconds=settings.worker_heartbeat_seconds,
        stop_before_seconds=settings.worker_stop_before_seconds,
        on_lost=lost,
        on_failure=failed("worker.heartbeat_failed"),
        on_stuck=_tell_stuck,
    )


def _tell_stuck(seconds: float) -> None:
    """Say why the process ends, and where it is stuck, past the log, whose loop is the one that is stuck."""
    sys.stderr.write(f"a job has held this worker for {seconds:.0f} s and cannot be stopped: ending the process\n")
    sys.stderr.flush()
    faulthandler.dump_traceback(sys.stderr)
