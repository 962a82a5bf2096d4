"""The guard lets nothing through but what is named as open or has the key, whatever is behind it."""

from typing import Any

import pytest

from app.adapters.web.guard import OPEN_PATHS, AdminKeyGuard

KEY = "the key"


async def asked(kind: str, path: str, *headers: tuple[bytes, bytes]) -> tuple[bool, list[dict[str, Any]]]:
    """Send one request through; tell whether the app behind saw it, and what was answered in front of it."""
    seen: list[dict[str, Any]] = []
    sent: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], *_: Any) -> None:
        seen.append(scope)

    async def receive() -> dict[str, Any]:
        raise AssertionError("nothing has to be read")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": kind, "method": "GET", "path": path, "headers": list(headers)}
    await AdminKeyGuard(app, KEY)(scope, receive, send)
    return bool(seen), sent


@pytest.mark.parametrize(
    "path", ["/", "/anything/new", "/docs", "/api/v1/health/", "/api/v1/healthy", "/API/V1/HEALTH", "//api/v1/health"]
)
async def test_whatever_is_not_named_as_open_needs_the_key(path: str) -> None:
    through, (start, _) = await asked("http", path)
    assert not through
    assert start["status"] == 401
    through, answered = await asked("http", path, (b"authorization", b"bearer  the key "))
    assert (through, answered) == (True, [])


async def test_what_is_open_is_health_and_nothing_else() -> None:
    assert {f"/api/v1/health{rest}" for rest in ("", "/live", "/ready")} == OPEN_PATHS
    for path in OPEN_PATHS:
        assert await asked("http", path) == (True, [])


@pytest.mark.parametrize("value", [b"", b"Bearer", b"Bearer the keys", b"Basic the key", b"the key", b"Bearer \xff"])
async def test_what_is_no_key_is_refused(value: bytes) -> None:
    through, (start, _) = await asked("http", "/docs", (b"authorization", value))
    assert not through
    assert start["status"] == 401


async def test_two_keys_are_none() -> None:
    right = (b"authorization", b"Bearer the key")
    through, _ = await asked("http", "/docs", right, right)
    assert not through


async def test_a_websocket_does_not_get_past_not_even_on_an_open_path() -> None:
    for path in ("/api/v1/health", "/anything"):
        assert await asked("websocket", path) == (False, [{"type": "websocket.close", "code": 1008}])
