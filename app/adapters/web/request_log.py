"""One log line a request that FastAPI serves; webhooks have their own, with more in it (`webhook.answered`)."""

import secrets
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ANSWERED = "request.answered"
_ASKED_ALL_THE_TIME = frozenset({"/api/v1/health/live", "/api/v1/health/ready", "/api/v1/health", "/metrics"})


class RequestLog:
    """Wraps an ASGI app: `request.answered` with method, path (no query), status, ms and trace_id.

    What probes and scrapers ask all the time is logged at level debug while it succeeds. Every line that is logged in
    the course of a request carries its trace_id: that of its span, or a random one where there are no spans.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and log how it was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        structlog.contextvars.bind_contextvars(trace_id=secrets.token_hex(16))
        try:
            await self._app(scope, receive, noting)
        except Exception:
            status = status or 500  # the server will say so
            raise
        finally:
            _tell(scope["method"], scope["path"], status, time.perf_counter() - started)
            structlog.contextvars.unbind_contextvars("trace_id")


def _tell(method: str, path: str, status: int, seconds: float) -> None:
    log = structlog.get_logger()
    fields = {"method": method, "path": path[:256], "status": status, "ms": round(seconds * 1000, 3)}
    if status >= 500:
        log.error(REQUEST_ANSWERED, **fields)
    elif status >= 400 or not status:
        log.warning(REQUEST_ANSWERED, **fields)
    elif path in _ASKED_ALL_THE_TIME:
        log.debug(REQUEST_ANSWERED, **fields)
    else:
        log.info(REQUEST_ANSWERED, **fields)
