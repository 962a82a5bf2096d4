"""Who may ask: everything but webhooks and health needs the admin key. Deny by default: what is open is named here."""

import hmac
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from app.adapters.web.problems import CONTENT_TYPE, body_of

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset({"/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready"})


class AdminKeyGuard:
    """An ASGI wrapper that lets a request through if its path is open or its bearer key is the one."""

    def __init__(self, app: App, admin_key: str) -> None:
        self._app = app
        self._digest = sha256(admin_key.encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on or answer 401; there are no websockets."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "lifespan" or scope["path"] in OPEN_PATHS or self._may(scope["headers"]):
            await self._app(scope, receive, send)
            return
        status, body = body_of("unauthorized")
        headers = [
            (b"content-type", CONTENT_TYPE),
            (b"content-length", str(len(body)).encode()),
            (b"www-authenticate", b"Bearer"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _may(self, headers: list[tuple[bytes, bytes]]) -> bool:
        given = [value for name, value in headers if name == b"authorization"]
        if len(given) != 1:
            return False
        scheme, _, key = given[0].partition(b" ")
        # Only digests are compared: their lengths and times tell nothing of the key.
        return scheme.lower() == b"bearer" and hmac.compare_digest(sha256(key.strip()).digest(), self._digest)
