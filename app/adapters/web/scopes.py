"""Who may call what: every route of FastAPI has a line here, and one without is served to nobody.

Webhooks are not in it: they are answered in front of FastAPI, and prove themselves by their signatures.
`tests/adapters/test_scopes.py` walks the routes.
"""

from collections.abc import Mapping, Sequence
from enum import Enum

from fastapi.routing import iter_route_contexts
from starlette import types as asgi
from starlette.routing import BaseRoute, Match

from app.core.domain.api_key import Scope


class Special(Enum):
    """What stands for a scope where none does."""

    OPEN = "needs no key"
    UNNAMED = "has no line in the registry"


HEALTH = "/api/v1/health"

SCOPES: Mapping[tuple[str, str], Scope | Special] = {
    ("GET", HEALTH): Special.OPEN,
    ("GET", f"{HEALTH}/live"): Special.OPEN,
    ("GET", f"{HEALTH}/ready"): Special.OPEN,
    ("GET", "/docs"): Scope.READ,
    ("GET", "/docs/oauth2-redirect"): Scope.READ,
    ("GET", "/redoc"): Scope.READ,
    ("GET", "/openapi.json"): Scope.READ,
    ("GET", "/metrics"): Scope.READ,
    ("GET", "/api/v1/events"): Scope.READ,
    ("GET", "/api/v1/events/{event_id}"): Scope.READ,
    ("GET", "/api/v1/events/{event_id}/body"): Scope.READ,
    ("GET", "/api/v1/refusals"): Scope.READ,
    ("GET", "/api/v1/refusals/{refusal_id}"): Scope.READ,
    ("GET", "/api/v1/refusals/{refusal_id}/body"): Scope.READ,
    ("POST", "/api/v1/refusals/{refusal_id}/release"): Scope.OPERATE,
    ("POST", "/api/v1/jobs"): Scope.OPERATE,
    ("GET", "/api/v1/jobs"): Scope.READ,
    ("GET", "/api/v1/jobs/{job_id}"): Scope.READ,
    ("POST", "/api/v1/jobs/{job_id}/retry"): Scope.OPERATE,
    ("POST", "/api/v1/jobs/{job_id}/cancel"): Scope.OPERATE,
    ("POST", "/api/v1/pipeline"): Scope.OPERATE,
    ("GET", "/api/v1/pipeline/{job_id}"): Scope.READ,
    ("GET", "/api/v1/connectors"): Scope.READ,
    ("GET", "/api/v1/providers"): Scope.READ,
    ("GET", "/api/v1/providers/{name}"): Scope.READ,
    ("GET", "/api/v1/keys"): Scope.ADMIN,
    ("POST", "/api/v1/keys"): Scope.ADMIN,
    ("DELETE", "/api/v1/keys/{key_id}"): Scope.ADMIN,
    ("GET", "/api/v1/audit"): Scope.ADMIN,
}

OPEN_PATHS = frozenset(path for (_, path), needed in SCOPES.items() if needed is Special.OPEN)


def needed(routes: Sequence[BaseRoute], request: asgi.Scope) -> Scope | Special:
    """Tell what a request needs, by the route that is going to serve it, as the router itself finds it.

    What no route serves needs any key: all that happens then is an answer that says so.
    """
    if request["path"] in OPEN_PATHS:
        return Special.OPEN
    for route in iter_route_contexts(routes):
        match, _ = route.matches(dict(request))
        if match is Match.FULL:
            method = "GET" if request["method"] == "HEAD" else request["method"]
            return SCOPES.get((method, route.path or ""), Special.UNNAMED)
    return Scope.READ
