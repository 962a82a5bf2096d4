"""`opsconnect worker`: a process that plans events and runs jobs, and nothing else."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import structlog
import uvloop

from app.adapters.telemetry.tracing import open_tracing
from app.core.domain.errors import OpsConnectError
from app.infra.container import VERSION, Container, build
from app.infra.engine import Engine, open_engine
from app.infra.garbage import collect_less
from app.infra.logs import Logs, set_up_logs
from app.infra.migrations import newest
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
    from app.infra.worker_port import answering  # a third of the start, and many never ask

    async with answering(settings, container.application, engine.metrics.render, stop.is_set):
        yield
