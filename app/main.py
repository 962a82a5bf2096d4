"""The ASGI entry point, for `uvicorn app.main:app` and other servers; `opsconnect serve` does the same and drains."""

from contextlib import AsyncExitStack
from typing import Any

from app.adapters.web.watch import Refusals
from app.adapters.web.webhooks import App, Receive, Scope, Send
from app.infra.logs import set_up_logs
from app.infra.serving import Drain, serving
from app.settings import load


class _Entry:
    """Everything is built in the lifespan, so that importing this module connects nothing."""

    def __init__(self) -> None:
        self._app: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is None:
            raise RuntimeError("this server does not speak ASGI's lifespan protocol; OpsConnect needs it to start")
        else:
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                settings = load()
                logs = set_up_logs(environment=settings.environment, level=settings.log_level)
                served = await stack.enter_async_context(serving(settings, logs, Drain(), Refusals()))
                self._app = served.app
            except Exception as error:  # noqa: BLE001 (the server says it and exits)
                await _say(send, "lifespan.startup.failed", message=str(error))
                return
            await _say(send, "lifespan.startup.complete")
            await receive()
            self._app = None
        await _say(send, "lifespan.shutdown.complete")


async def _say(send: Send, kind: str, **more: Any) -> None:
    await send({"type": kind, **more})


app = _Entry()
