"""How many requests beside webhooks are served at once, so that no crowd of them holds webhooks up."""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.adapters.web.problems import CONTENT_TYPE, body_of, retry_after
from app.adapters.web.scopes import OPEN_PATHS


class Crowd:
    """An ASGI wrapper: beyond its number, requests get 503 at once; health and metrics are always served."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._serving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or say that there are too many."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or scope["path"] == "/metrics":
            await self._app(scope, receive, send)
        elif self._serving >= self._most:
            status, body = body_of("busy")
            headers = [
                (b"content-type", CONTENT_TYPE),
                (b"content-length", str(len(body)).encode()),
                (b"retry-after", retry_after()),
            ]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
        else:
            self._serving += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._serving -= 1
