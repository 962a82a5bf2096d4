"""One serving process: container, telemetry and HTTP around it, from the first log line to the last span."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
import uvloop

from app.adapters.telemetry.canonical_log import CanonicalLog
from app.adapters.telemetry.intake import RecordedIntake
from app.adapters.telemetry.metrics import CONTENT_TYPE, IntakeMetrics
from app.adapters.telemetry.readings import Readings
from app.adapters.telemetry.shared_metrics import SharedMetrics
from app.adapters.telemetry.tracing import current_traceparent, instrument, open_tracing
from app.adapters.web.admission import Admission
from app.adapters.web.api import make_api
from app.adapters.web.crowd import Crowd
from app.adapters.web.express import ExpressLane
from app.adapters.web.guard import ScopeGuard
from app.adapters.web.request_log import RequestLog
from app.adapters.web.watch import Refusals
from app.adapters.web.webhooks import App, WebhookDoor
from app.core.domain.breaker import BreakerState
from app.core.domain.errors import Fault, Invalid, OpsConnectError
from app.core.policies.breaker import Guard
from app.infra.container import VERSION, Container, build
from app.infra.engine import open_engine
from app.infra.garbage import collect_less
from app.infra.logs import Logs, set_up_logs
from app.infra.migrations import newest
from app.infra.server import DrainingServer, several_of
from app.infra.supervisor import STOP_SECONDS, supervised
from app.infra.workers import Seat
from app.settings import Settings

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

_log = structlog.get_logger()


@dataclass(slots=True)
class Drain:
    """Whether the end of this process has been announced; readiness tells."""

    announced: Callable[[], bool] = lambda: False


def refuse_unsafe(settings: Settings) -> None:
    """Refuse to serve the world without a key. Raises `Invalid`."""
    if settings.admin_key is None and not (settings.environment == "dev" and settings.host in LOOPBACK):
        text = "is not set: the API would be open to everybody. Set it to a long random text ('openssl rand -hex 32')"
        raise Invalid([Fault("OPSCONNECT_ADMIN_KEY", text)])


@dataclass(frozen=True, slots=True)
class Served:
    """What answers requests."""

    app: App
    """All of them."""
    express: ExpressLane
    """The usual webhooks, for a server whose connections know of the short way."""
    admission: Admission
    """What they have in hand at once."""
    container: Container


@asynccontextmanager
async def serving(
    settings: Settings,
    logs: Logs,
    drain: Drain,
    refusals: Refusals,
    seat: Seat | None = None,
    *,
    runs_jobs: bool = False,
) -> AsyncIterator[Served]:
    """Give what answers requests, with its duties running. Raises `Invalid` where serving would break a promise.

    `seat`: this is one of several workers. `runs_jobs`: it has an engine, too.
    """
    refuse_unsafe(settings)
    async with AsyncExitStack() as stack:
        container = await stack.enter_async_context(build(settings))
        await container.refuse_unfit(newest())
        tracing = open_tracing(version=VERSION, incoming=settings.trace_incoming, recorder=settings.span_recorder)
        engine = await stack.enter_async_context(open_engine(container, tracing, logs)) if runs_jobs else None
        admission = Admission(settings.intake_most_requests, settings.intake_most_bytes)
        metrics = IntakeMetrics(
            version=VERSION,
            readings=Readings(
                pools={"intake": lambda: container.connections.usage},
                breakers={name: partial(_is_open, guard) for name, guard in container.breakers.items()},
                lock_outcomes=lambda: container.shield.lock_outcomes,
                spans_dropped=tracing.dropped,
                lines_dropped=lambda: logs.stream.dropped,
                refused_connections=lambda: refusals.counts,
                refusals_dropped=lambda: container.refusal_book.dropped,
                suspected_replays=lambda: container.replay_watch.suspected,
                in_hand=lambda: {"requests": admission.requests, "bytes": admission.bytes},
            ),
            others=(engine.metrics,) if engine else (),
        )
        shared = SharedMetrics(metrics, seat.page, seat.others) if seat else None
        canonical = CanonicalLog(logs.stream.write, render=logs.render, level=logs.level)
        telemetry = RecordedIntake(tracing.recorder, metrics, canonical)
        api = make_api(
            container.application,
            version=VERSION,
            draining=lambda: drain.announced(),  # noqa: PLW0108 (it is replaced when the server is made)
            metrics=lambda: ((shared or metrics).render(), CONTENT_TYPE),
            traceparent=current_traceparent,
            body_limit_bytes=settings.body_limit_bytes,
        )
        instrument(api, tracing)
        # Without an admin key this is `dev` on this machine (`refuse_unsafe`), and open.
        authenticate = None if settings.admin_key is None else container.application.authenticate
        guarded: Any = ScopeGuard(RequestLog(Crowd(api, settings.operator_requests)), api.routes, authenticate)
        door = WebhookDoor(
            ingest=container.application.ingest_webhook,
            telemetry=telemetry,
            sources=container.sources,
            rates=container.rates,
            body_limit_bytes=settings.body_limit_bytes,
            elsewhere=guarded,
        )
        express = ExpressLane(
            container.application.ingest_webhook, telemetry, container.rates, body_limit_bytes=settings.body_limit_bytes
        )
        duties = (*container.duties, *([shared] if shared else []), *(engine.duties if engine else ()))
        try:
            async with supervised(duties, stop_seconds=engine.stop_seconds if engine else STOP_SECONDS):
                yield Served(door, express, admission, container)
        finally:
            telemetry.drain()
            if shared:
                shared.show()
            # Blocks for its budget at most, when nothing else is left to do.
            if not tracing.shutdown(settings.drain_telemetry_seconds):
                _log.warning("telemetry.unflushed", hint="the last spans did not reach the collector")


def _is_open(guard: Guard) -> bool:
    return guard.state is BreakerState.OPEN


def run(
    settings: Settings,
    listener: socket.socket,
    seat: Seat | None = None,
    *,
    ready: Callable[[Container], Awaitable[None]] | None = None,
    runs_jobs: bool = False,
) -> None:
    """Serve until a signal, drain, and return. `ready` is called when the port is about to answer.

    `seat`: as one of several workers. `runs_jobs`: with an engine in the same process.

    Raises `Invalid` where serving would break a promise.
    """
    logs = set_up_logs(environment=settings.environment, level=settings.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, listener, logs, seat, ready, runs_jobs=runs_jobs))
    finally:
        logs.close()


async def _serve(
    settings: Settings,
    listener: socket.socket,
    logs: Logs,
    seat: Seat | None,
    ready: Callable[[Container], Awaitable[None]] | None,
    *,
    runs_jobs: bool,
) -> None:
    drain = Drain()
    refusals = Refusals()
    async with serving(settings, logs, drain, refusals, seat, runs_jobs=runs_jobs) as served:
        container = served.container
        express = served.express if settings.intake_path == "express" else None
        server = DrainingServer(served.app, settings, refusals, served.admission, express)
        drain.announced = lambda: server.draining
        try:
            await container.sources.refresh()
        except OpsConnectError as error:
            _log.warning("sources.not_refreshed", reason=str(error))
        health = await container.application.check_health()
        if health.status == "degraded":
            _log.warning("start.degraded", reason=health.reason)
        if settings.redis_url is None:
            _log.warning("start.no_redis", hint="duplicates are shielded within this process only; Postgres decides")
        if ready is not None:
            await ready(container)
        collect_less()
        if seat is not None:
            seat.tell_ready()
            if seat.replaces:
                _log.warning("worker.replaced", worker=seat.number, ended_by=seat.replaces)
        _log.info("start.serving", host=settings.host, port=listener.getsockname()[1], version=VERSION)
        await server.serve(sockets=several_of(listener))
        _log.info("stop.drained")
