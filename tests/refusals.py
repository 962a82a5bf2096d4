"""Refusals, as the door hands them over."""

from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import Any

from app.core.domain.ids import refusal_id
from app.core.domain.refusal import NewRefusal

T0 = time_ns() // 1_000_000_000 * 1_000_000_000
"""When the first of them came in, in nanoseconds since the epoch."""


def at(milliseconds: int) -> datetime:
    """So long after the first."""
    return datetime.fromtimestamp(T0 / 1e9, UTC) + timedelta(milliseconds=milliseconds)


def a_refusal(milliseconds: int = 0, **fields: Any) -> NewRefusal:
    """A forged request to `demo`, received so long after the first."""
    values = {
        "id": refusal_id(T0 + milliseconds * 1_000_000),
        "received_at": at(milliseconds),
        "source": "demo",
        "provider": "hmac",
        "code": "signature_mismatch",
        "detail": "x-signature fits none of the 1 secrets over the raw body",
        "method": "POST",
        "url": "/api/v1/webhooks/demo",
        "client": "192.0.2.7",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "lead": False,
        "headers": (("content-type", "application/json"), ("x-signature", "sha256=00")),
        "body": b'{"n":1}',
    }
    return NewRefusal(**{**values, **fields})
