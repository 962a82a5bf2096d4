"""The port of a worker: health for supervisors and load balancers, and metrics."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI
from fastapi.responses import Response

from app.adapters.telemetry.metrics import CONTENT_TYPE
from app.adapters.web import health
from app.adapters.web.guard import ScopeGuard
from app.core.application import Application
from app.infra.container import VERSION
from app.infra.server import listen
from app.settings import Settings

LAST_ANSWERS_SECONDS = 1


@asynccontextmanager
async def answering(
    settings: Settings, application: Application, metrics: Callable[[], bytes], draining: Callable[[], bool]
) -> AsyncIterator[None]:
    """Answer on `worker_port` while the body runs, its drain included."""
    listener = listen(settings.model_copy(update={"port": settings.worker_port}))
    api = FastAPI(title="OpsConnect worker", version=VERSION, docs_url=None, redoc_url=None, openapi_url=None)
    api.include_router(health.make_router(application.check_health, version=VERSION, draining=draining))

    @api.get("/metrics")
    def show_metrics() -> Response:
        return Response(metrics(), media_type=CONTENT_TYPE)

    # Without the one key of the settings it is not asked for any: so `dev` does it, on this machine alone.
    app = ScopeGuard(api, api.routes, application.authenticate if settings.admin_key else None)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals alone: they are the worker's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield
