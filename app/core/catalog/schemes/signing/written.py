"""How a signed request is put together: the same request with headers set, or with another body."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from app.core.catalog.proof import SignedRequest


def with_headers(request: SignedRequest, **headers: bytes) -> SignedRequest:
    """Give the request with these headers, whose names have underscores here, in the place of any before."""
    names = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    kept = [(name, value) for name, value in request.headers if name not in names]
    return request._replace(headers=(*kept, *names.items()))


def named(request: SignedRequest, name: bytes, otherwise: bytes) -> bytes:
    """Give a header that the caller may have chosen, an id say."""
    values = request.values(name)
    return values[0] if values and values[0] else otherwise


def made_up_id(request: SignedRequest) -> bytes:
    """Give an id that is the same for the same body, so that nothing here is left to chance."""
    return f"msg_{sha256(request.body).hexdigest()[:24]}".encode()


def with_json(request: SignedRequest, body: Any) -> SignedRequest:
    """Give the request with this body."""
    return request._replace(body=json.dumps(body, separators=(",", ":")).encode())


def rfc3339(now: float) -> str:
    """Write a time in UTC, to the millisecond."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix(now: float) -> bytes:
    """Write a time in whole seconds."""
    return str(int(now)).encode()


def unix_milliseconds(now: float) -> bytes:
    """Write a time in whole milliseconds."""
    return str(int(now * 1000)).encode()
