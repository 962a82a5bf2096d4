"""Who may ask: everything but webhooks and health needs a key whose scope is enough. Deny by default (`scopes.py`)."""

from collections.abc import Awaitable, Callable, Sequence

import structlog
from fastapi import Request
from starlette import types as asgi
from starlette.routing import BaseRoute

from app.adapters.web.problems import CONTENT_TYPE, body_of, retry_after
from app.adapters.web.scopes import Special, needed
from app.core.domain.api_key import Scope
from app.core.domain.audit import Actor
from app.core.domain.errors import Unavailable
from app.core.use_cases.authenticate import Caller

CALLER = "opsconnect.caller"
"""Where in an ASGI scope the name of who asks stands, for whoever writes down what this one does."""
ANYBODY = Caller("open", Scope.ADMIN)
"""Who asks where no key is needed: of `opsconnect dev`, on this machine."""

Authenticate = Callable[[bytes], Awaitable[Caller | None]]


class ScopeGuard:
    """An ASGI wrapper that lets a request through if its path is open, or its key is valid and has the scope.

    Without `authenticate` everybody is let through; what has no line in the registry is not served even then.
    """

    def __init__(self, app: asgi.ASGIApp, routes: Sequence[BaseRoute], authenticate: Authenticate | None) -> None:
        self._app = app
        self._routes = routes
        self._authenticate = authenticate

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Pass on, or answer 401, 403 or 503; there are no websockets."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        wanted = needed(self._routes, scope)
        if wanted is Special.OPEN:
            await self._app(scope, receive, send)
            return
        try:
            caller = await self._caller(scope)
        except Unavailable:
            text = "The key cannot be looked up now. Try again later; that of OPSCONNECT_ADMIN_KEY works all the same."
            await _answer(scope, send, body_of("unavailable", detail=text), (b"retry-after", retry_after()))
            return
        if caller is None:
            await _answer(scope, send, body_of("unauthorized"), (b"www-authenticate", b"Bearer"))
        elif not isinstance(wanted, Scope):
            await _answer(scope, send, body_of("not_found"))
        elif not caller.scope.includes(wanted):
            detail = f"This needs the scope '{wanted}', and {caller.name} has '{caller.scope}'."
            await _answer(scope, send, body_of("insufficient_scope", detail=detail, needed_scope=str(wanted)))
        else:
            await self._app({**scope, CALLER: caller.name}, receive, send)

    async def _caller(self, scope: asgi.Scope) -> Caller | None:
        if self._authenticate is None:
            return ANYBODY
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            return None
        scheme, _, key = given[0].partition(b" ")
        return await self._authenticate(key.strip()) if scheme.lower() == b"bearer" else None


async def actor(request: Request) -> Actor:
    """Tell who asks, for a route that acts: `by: Annotated[Actor, Depends(actor)]`. Only behind the guard."""
    return Actor(request.scope[CALLER], structlog.contextvars.get_contextvars().get("trace_id"))


async def _answer(scope: asgi.Scope, send: asgi.Send, answer: tuple[int, bytes], *more: tuple[bytes, bytes]) -> None:
    status, body = answer
    headers = [(b"content-type", CONTENT_TYPE), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
