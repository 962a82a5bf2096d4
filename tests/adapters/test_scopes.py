"""Every route has a scope: a walk along them, so that nobody forgets a new one's."""

from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.adapters.web.scopes import SCOPES, Special, needed
from app.core.domain.api_key import Scope
from tests.applications import InMemory


def an_api() -> FastAPI:
    """The API as it is served, documentation and metrics included."""
    return InMemory().api


def calls(api: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method of every route; HEAD goes with GET."""
    for route in iter_route_contexts(api.routes):
        for method in (route.methods or {"(none)"}) - {"HEAD"}:
            yield method, route.path or "(none)"


def test_every_route_has_a_line_in_the_registry_and_every_line_a_route() -> None:
    walked = list(calls(an_api()))
    assert {("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/metrics"), ("GET", "/api/v1/events")} <= set(walked)
    assert sorted(walked) == sorted(SCOPES)


def test_whoever_reads_changes_nothing_and_administrators_alone_see_keys_and_the_audit_log() -> None:
    for (method, path), scope in SCOPES.items():
        if path.startswith(("/api/v1/keys", "/api/v1/audit")):
            assert scope is Scope.ADMIN, path
        elif path.startswith("/api/v1/health"):
            assert scope is Special.OPEN, path
        else:
            assert scope is (Scope.READ if method == "GET" else Scope.OPERATE), path


def test_a_request_needs_what_the_line_of_its_route_says() -> None:
    """As the router finds it, whatever stands where a name or an id does."""
    api = an_api()
    for (method, path), scope in SCOPES.items():
        for value in ("x", "%2F", "é", "release", "health"):
            asked = path.replace("{event_id}", value).replace("{refusal_id}", value)
            asked = asked.replace("{name}", value).replace("{key_id}", value)
            request = {"type": "http", "method": method, "path": asked, "root_path": "", "headers": []}
            assert needed(api.routes, request) is scope, asked
