"""`opsconnect worker`: a process that plans events and runs jobs, and nothing else."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI
from fastapi.responses import Response

from app.adapters.telemetry.metrics import CONTENT_TYPE
from app.adapters.telemetry.tracing import open_tracing
from app.adapters.web import health
from app.adapters.web.guard import ScopeGuard
from app.core.domain.errors import OpsConnectError
from app.infra.container import VERSION, Container, build
from app.infra.engine import Engine, open_engine
from app.infra.garbage import collect_less
from app.infra.logs import Logs, set_up_logs
from app.infra.migrations import newest
from app.infra.server import listen
from app.infra.supervisor import supervised
from app.settings import Settings

THREADS = "connector"
LAST_SECONDS = 0.2

_log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Work until a signal, drain, and return. Raises `Invalid` where working would break a promise."""
    logs = set_up_logs(environment=settings.environment, level=settings.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            threads = ThreadPoolExecutor(thread_name_prefix=THREADS)
            runner.get_loop().set_default_executor(threads)
            runner.run(_work(settings, logs))
            threads.shutdown(wait=False, cancel_futures=True)
            if _is_held_up(runner.get_loop()):
                # All is said and given back; a job that cannot be stopped would keep the process as long as it likes.
                logs.close()
                sys.stdout.flush()
                os._exit(0)
    finally:
        logs.close()


def _is_held_up(loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether a task that was told to end goes on, or a thread in which a connector works."""
    ours = [thread for thread in threading.enumerate() if thread.name.startswith(THREADS)]
    for thread in ours:
        thread.join(LAST_SECONDS / len(ours))
    return any(thread.is_alive() for thread in ours) or any(task.cancelling() for task in asyncio.all_tasks(loop))


async def _work(settings: Settings, logs: Logs) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with build(settings) as container:
        await container.refuse_unfit(newest())
        tracing = open_tracing(version=VERSION)
        try:
            for cache in (container.sources, container.connected):
                try:
                    await cache.refresh()
                except OpsConnectError as error:
                    _log.warning("start.database_unavailable", reason=str(error))
            async with open_engine(container, tracing, logs) as engine:
                duties = (*container.worker_duties, *engine.duties)
                answering = _answering(settings, container, engine, stop)
                collect_less()
                async with answering, supervised(duties, stop_seconds=engine.stop_seconds):
                    _log.info("start.working", concurrency=settings.worker_concurrency, version=VERSION)
                    await stop.wait()
                    _log.info("stop.draining")
            _log.info("stop.drained")
        finally:
            if not tracing.shutdown(settings.drain_telemetry_seconds):
                _log.warning("telemetry.unflushed", hint="the last spans did not reach the collector")


@asynccontextmanager
async def _answering(
    settings: Settings, container: Container, engine: Engine, stop: asyncio.Event
) -> AsyncIterator[None]:
    """Answer health and metrics, where a port is set."""
    if not settings.worker_port:
        yield
        return
    listener = listen(settings.model_copy(update={"port": settings.worker_port}))
    api = FastAPI(title="OpsConnect worker", version=VERSION, docs_url=None, redoc_url=None, openapi_url=None)
    api.include_router(health.make_router(container.application.check_health, version=VERSION, draining=stop.is_set))

    @api.get("/metrics")
    def show_metrics() -> Response:
        return Response(engine.metrics.render(), media_type=CONTENT_TYPE)

    # Without the one key of the settings it is not asked for any: so `dev` does it, on this machine alone.
    authenticate = container.application.authenticate if settings.admin_key else None
    app = ScopeGuard(api, api.routes, authenticate)
    server = _Server(uvicorn.Config(app, **_PLAIN))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        listener.close()


_PLAIN: dict[str, Any] = {
    "lifespan": "off",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "timeout_graceful_shutdown": 1,
}


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals alone: they are the worker's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield
