"""The yardstick, L0: an ASGI callable that reads the body and answers 202, on bare uvicorn with the same settings.

python -m tests.bench.echo PORT
"""

import asyncio
import gc
import sys

import uvicorn
import uvloop

from app.adapters.web.webhooks import Receive, Scope, Send
from app.infra.server import BACKLOG, listen
from app.settings import load


async def echo(_: Scope, receive: Receive, send: Send) -> None:
    """Do the least that an answer to a POST takes."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _serve(port: int) -> None:
    settings = load(host="127.0.0.1", port=port, drain_announce_seconds=0)
    server = uvicorn.Server(
        uvicorn.Config(
            echo,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
        )
    )
    gc.collect()
    gc.freeze()
    await server.serve(sockets=[listen(settings)])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))
