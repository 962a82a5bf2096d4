"""Reading a webhook's body: exactly up to the limit, however it comes in, and no byte beyond."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.adapters.web.webhooks import _Gone, _read

LIMIT = 10


def receiving(*chunks: bytes, broken_off: bool = False) -> Callable[[], Awaitable[dict[str, Any]]]:
    """A server that hands on these chunks, and then the end or a broken connection."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if broken_off:
        messages.append({"type": "http.disconnect"})
    else:
        messages[-1]["more_body"] = False
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(left)

    return receive


@pytest.mark.parametrize(
    "chunks", [[b"x" * 10], [b"x" * 9, b"x"], [b"x"] * 10, [b"x" * 10, b""], [b"", b"x" * 10]], ids=len
)
@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_of_exactly_the_limit_is_taken(chunks: list[bytes], declared: bool) -> None:
    headers = [(b"content-length", b"10")] if declared else []
    assert await _read(headers, receiving(*chunks), LIMIT) == b"x" * 10


@pytest.mark.parametrize("chunks", [[b"x" * 11], [b"x" * 10, b"x"], [b"x"] * 11], ids=len)
async def test_one_byte_more_is_too_large(chunks: list[bytes]) -> None:
    assert await _read([], receiving(*chunks), LIMIT) is None


@pytest.mark.parametrize("declared", [b"11", b"9" * 30, b"-1", b"1e1", b"", b"x"])
async def test_a_declared_length_beyond_the_limit_is_refused_before_a_byte_is_read(declared: bytes) -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError("read")

    assert await _read([(b"content-length", declared)], receive, LIMIT) is None


@pytest.mark.parametrize("chunks", [[], [b"x"], [b"x" * 5, b"x" * 5]], ids=len)
async def test_a_body_that_breaks_off_is_nobody_s(chunks: list[bytes]) -> None:
    with pytest.raises(_Gone):
        await _read([], receiving(*chunks, broken_off=True), LIMIT)
