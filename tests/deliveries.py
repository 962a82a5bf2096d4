"""Records of webhook requests, as the door fills them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.core.ports.event_store import Flush
from app.core.ports.telemetry import Delivery, Telemetry

T0 = 1_795_000_000_000_000_000
"""When the requests of these tests come in, in nanoseconds since the epoch."""
MS = 1_000_000
EVENT_ID = "019a0e2c-1f40-7000-8000-00000000cafe"


def a_flush(size: int = 1, *, locks: Mapping[str, int] | None = None, **changes: Any) -> Flush:
    """A flush that asked for locks from 2 to 3 ms and wrote from 3 to 5 ms."""
    flush = Flush(
        size=size,
        epoch="1/2/3",
        lock_started_ns=T0 + 2 * MS,
        lock_ended_ns=T0 + 3 * MS,
        append_started_ns=T0 + 3 * MS,
        append_ended_ns=T0 + 5 * MS,
        locks={"held": size} if locks is None else locks,
    )
    return replace(flush, **changes)


def a_delivery(
    telemetry: Telemetry, *, traceparent: str | None = None, tracestate: str | None = None, **changes: Any
) -> Delivery:
    """An accepted delivery: verified from 0.5 to 1 ms, answered at 6 ms; without a flush unless one is given."""
    method = changes.pop("method", "POST")
    delivery = Delivery(
        trace=telemetry.start(method, traceparent, tracestate, T0),
        method=method,
        path="/api/v1/webhooks/demo",
        client="192.0.2.7",
        started_ns=T0,
        source="demo",
        provider="hmac",
        size=1000,
        verify_started_ns=T0 + MS // 2,
        verify_ended_ns=T0 + MS,
        ended_ns=T0 + 6 * MS,
        status=202,
        outcome="accepted",
        event_id=EVENT_ID,
    )
    for name, value in changes.items():
        setattr(delivery, name, value)
    return delivery


def a_refusal(telemetry: Telemetry, status: int, code: str, **changes: Any) -> Delivery:
    """A delivery that was refused with a status and a code."""
    return a_delivery(telemetry, status=status, outcome=code, event_id="", **changes)
