"""The guard lets nothing through but what is open, or whose key has the scope that the registry names."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from starlette.routing import Route

from app.adapters.web.guard import CALLER, ScopeGuard
from app.adapters.web.scopes import OPEN_PATHS
from app.core.domain.api_key import Scope
from app.core.domain.errors import Unavailable
from app.core.use_cases.authenticate import Caller
from tests.adapters.test_scopes import an_api

KEYS = {
    b"a reading key": Caller("key:reading", Scope.READ),
    b"an operating key": Caller("key:operating", Scope.OPERATE),
    b"the admin key": Caller("admin", Scope.ADMIN),
}


async def authenticate(key: bytes) -> Caller | None:
    if key == b"while it is away":
        raise Unavailable("away")
    return KEYS.get(key)


async def asked(
    kind: str, path: str, *keys: bytes, method: str = "GET", api: FastAPI | None = None, guarded: bool = True
) -> tuple[str | None, list[dict[str, Any]]]:
    """Send one request through; tell who it was for the app behind, and what was answered in front of it."""
    seen: list[Mapping[str, Any]] = []
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, *_: Any) -> None:
        seen.append(scope)

    async def receive() -> dict[str, Any]:
        raise AssertionError("nothing has to be read")

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", key) for key in keys]
    scope = {"type": kind, "method": method, "path": path, "root_path": "", "headers": headers}
    await ScopeGuard(app, (api or an_api()).routes, authenticate if guarded else None)(scope, receive, send)
    return (seen[0].get(CALLER, "nobody") if seen else None), sent


def code(sent: list[dict[str, Any]]) -> tuple[int, str]:
    start, body = sent
    return start["status"], orjson.loads(body["body"])["code"]


@pytest.mark.parametrize(
    "path", ["/", "/anything/new", "/docs", "/api/v1/health/", "/api/v1/healthy", "/API/V1/HEALTH", "//api/v1/health"]
)
async def test_whatever_is_not_named_as_open_needs_a_key(path: str) -> None:
    through, answer = await asked("http", path)
    assert (through, code(answer)) == (None, (401, "unauthorized"))
    assert (b"www-authenticate", b"Bearer") in answer[0]["headers"]
    assert await asked("http", path, b"bearer  the admin key ") == ("admin", [])


async def test_what_is_open_is_health_and_nothing_else() -> None:
    assert {f"/api/v1/health{rest}" for rest in ("", "/live", "/ready")} == OPEN_PATHS
    for path in OPEN_PATHS:
        assert await asked("http", path) == ("nobody", [])


@pytest.mark.parametrize("value", [b"", b"Bearer", b"Bearer the keys", b"Basic the admin key", b"the admin key"])
async def test_what_is_no_key_is_refused(value: bytes) -> None:
    assert code((await asked("http", "/docs", value))[1]) == (401, "unauthorized")


async def test_two_keys_are_none() -> None:
    assert code((await asked("http", "/docs", b"Bearer the admin key", b"Bearer the admin key"))[1])[0] == 401


async def test_a_websocket_does_not_get_past_not_even_on_an_open_path() -> None:
    for path in ("/api/v1/health", "/anything"):
        assert await asked("websocket", path) == (None, [{"type": "websocket.close", "code": 1008}])


@pytest.mark.parametrize(
    ("method", "path", "enough"),
    [
        ("GET", "/api/v1/events", Scope.READ),
        ("GET", "/api/v1/refusals/x/body", Scope.READ),
        ("HEAD", "/docs", Scope.READ),
        ("POST", "/api/v1/refusals/x/release", Scope.OPERATE),
        ("GET", "/api/v1/keys", Scope.ADMIN),
        ("DELETE", "/api/v1/keys/x", Scope.ADMIN),
        ("GET", "/api/v1/audit", Scope.ADMIN),
        ("GET", "/nothing", Scope.READ),
        ("DELETE", "/api/v1/events", Scope.READ),
    ],
)
async def test_a_key_gets_as_far_as_its_scope(method: str, path: str, enough: Scope) -> None:
    for key, caller in KEYS.items():
        through, answer = await asked("http", path, b"Bearer " + key, method=method)
        if caller.scope.includes(enough):
            assert (through, answer) == (caller.name, [])
        else:
            assert (through, code(answer)) == (None, (403, "insufficient_scope"))
            problem = orjson.loads(answer[1]["body"])
            assert problem["needed_scope"] == enough
            assert f"'{enough}', and {caller.name} has '{caller.scope}'" in problem["detail"]


async def test_a_route_without_a_line_is_served_to_nobody() -> None:
    """Not even with the admin key, nor where no key is needed."""
    api = an_api()
    api.router.routes.append(Route("/api/v1/forgotten", lambda _: None))
    for guarded in (True, False):
        answer = await asked("http", "/api/v1/forgotten", b"Bearer the admin key", api=api, guarded=guarded)
        assert (answer[0], code(answer[1])) == (None, (404, "not_found"))


async def test_where_no_key_is_needed_it_is_open() -> None:
    assert await asked("http", "/api/v1/keys", guarded=False) == ("open", [])


async def test_a_key_that_cannot_be_looked_up_now_is_no_wrong_key() -> None:
    through, answer = await asked("http", "/docs", b"Bearer while it is away")
    assert (through, code(answer)) == (None, (503, "unavailable"))
    assert b"retry-after" in dict(answer[0]["headers"])
    assert await asked("http", "/api/v1/health", b"Bearer while it is away") == ("nobody", [])
