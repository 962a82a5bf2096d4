"""Any ASGI app on bare uvicorn, with the settings of OpsConnect's own server: so only the app makes a difference."""

import asyncio
import gc
import os
from typing import Any, Literal

import uvicorn
import uvloop

from app.infra.server import BACKLOG, listen
from app.settings import load


def serve(app: Any, port: int, *, lifespan: Literal["on", "off"] = "off") -> None:
    """Serve until SIGTERM, on this machine only."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(app, port, lifespan))


async def _serve(app: Any, port: int, lifespan: Literal["on", "off"]) -> None:
    settings = load(host="127.0.0.1", port=port, drain_announce_seconds=0)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan=lifespan,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
        )
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(int(os.environ["BENCH_COLLECT_AFTER"]))
    await server.serve(sockets=[listen(settings)])
