"""JSON that is sent to the API, read as exactly and as warily as a webhook's: no body makes a 500 of it."""

from collections.abc import Collection, Mapping

from fastapi import Request

from app.core.domain.body import Unreadable, read_json
from app.core.domain.connector import Json
from app.core.domain.document import kind, shown
from app.core.domain.errors import Fault, Invalid

LONGEST_NAME = 256
MOST_FAULTS = 10


class BodyTooLarge(Exception):
    """It is larger than the API takes; most of it was not read."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"more than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class NotJson(Exception):
    """It does not say that it is JSON. A page in a browser could send it to us without asking whether it may."""


async def read_object(request: Request, limit_bytes: int, known: Collection[str]) -> Mapping[str, Json]:
    """Read a JSON object with these fields and no others.

    Raises `NotJson`, `BodyTooLarge`, `Invalid`, or starlette's `ClientDisconnect`.
    """
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said != "application/json" and not said.endswith("+json"):
        raise NotJson
    found = read_json(await _whole(request, limit_bytes))
    if isinstance(found, Unreadable):
        raise Invalid([Fault("body", found.reason)])
    if not isinstance(found.value, dict):
        raise Invalid([Fault("body", f"must be an object; this is {kind(found.value)}")])
    if unknown := [name for name in found.value if name not in known]:
        text = f"is not known here; known are {', '.join(known)}"
        raise Invalid([Fault(shown(name), text) for name in unknown[:MOST_FAULTS]])
    return found.value


def name_fault(value: Json) -> str | None:
    """Say why this can be the name of nothing; None when it can."""
    if not isinstance(value, str) or not value:
        return f"must be a text; this is {kind(value)}"
    if len(value) > LONGEST_NAME:
        return f"has more than {LONGEST_NAME} characters"
    # No NUL and no lone surrogate, which Postgres takes for no text.
    return None if value.isprintable() else "has characters that cannot be printed"


async def _whole(request: Request, limit_bytes: int) -> bytes:
    body = bytearray()
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit_bytes:
            body += chunk
        elif (
            size > 2 * limit_bytes
        ):  # so much is still taken in, so that a sender that is a little over sees the answer
            break
    if size > limit_bytes:
        raise BodyTooLarge(limit_bytes)
    return bytes(body)
