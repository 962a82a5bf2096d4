"""What the spans of a webhook request say, in words that every recorder uses."""

from collections.abc import Mapping

from app.adapters.telemetry import catalog
from app.adapters.telemetry.trace_context import clean
from app.core.ports.event_store import Flush
from app.core.ports.telemetry import Delivery

Attributes = dict[str, str | int | float]

SCOPE = "opsconnect"
MOST_SPANS = 5
"""A request's spans, with the batch's."""
MOST_ATTRIBUTES = 13
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_PATH_LENGTH = 256
_LOCK_ATTRIBUTES = {
    outcome: f"opsconnect.lock.{outcome}" for outcome in ("held", "busy", "marked", "unshielded")
}  # fmt: skip


def server_name(method: str, path: str = "") -> str:
    """Name the server span: few names, whatever senders do."""
    route = catalog.LEAD_ROUTE if path == catalog.LEAD_ROUTE else catalog.WEBHOOK_ROUTE
    return f"{method if method in _METHODS else 'HTTP'} {route}"


def server_attributes(delivery: Delivery, scheme: str) -> Attributes:
    """Tell of the request."""
    attributes: Attributes = {
        "http.request.method": delivery.method if delivery.method in _METHODS else "_OTHER",
        "url.path": clean(delivery.path.partition("?")[0], _PATH_LENGTH),
        "url.scheme": scheme,
        "http.route": catalog.LEAD_ROUTE if delivery.path == catalog.LEAD_ROUTE else catalog.WEBHOOK_ROUTE,
        "http.request.body.size": delivery.size,
        "client.address": clean(delivery.client, 64),
        "opsconnect.outcome": delivery.outcome,
    }
    if delivery.status:
        attributes["http.response.status_code"] = delivery.status
    if failed(delivery):
        attributes["error.type"] = delivery.outcome or str(delivery.status or "unanswered")
    if delivery.source:
        attributes["opsconnect.source"] = clean(delivery.source, 128)
        attributes["opsconnect.provider"] = delivery.provider
    if delivery.event_id:
        attributes["opsconnect.event_id"] = delivery.event_id
    if (queue_ms := waited_ms(delivery)) is not None:
        attributes["opsconnect.queue_ms"] = queue_ms
    return attributes


def failed(delivery: Delivery) -> bool:
    """Tell whether it is our fault: only that is an error."""
    return delivery.status >= 500 or not delivery.status


def waited_ms(delivery: Delivery) -> float | None:
    """Give the time until the batch began; None where there was no batch."""
    flush = delivery.flush
    if flush is not None and (began := flush.lock_started_ns or flush.append_started_ns):
        return max(began - (delivery.verify_ended_ns or delivery.started_ns), 0) / 1e6
    return None


def lock_attributes(locks: Mapping[str, int] | None) -> Attributes:
    """Tell what became of the batch's keys."""
    if not locks:
        return {}
    return {_LOCK_ATTRIBUTES[outcome]: count for outcome, count in locks.items() if outcome in _LOCK_ATTRIBUTES}


def append_attributes(flush: Flush) -> Attributes:
    """Tell of the batch, from within a request."""
    return {"opsconnect.batch.size": flush.size}


def batch_attributes(flush: Flush) -> Attributes:
    """Tell of the batch's statement."""
    attributes: Attributes = {
        "db.system.name": "postgresql",
        "db.operation.name": "INSERT",
        "db.collection.name": "events",
        "opsconnect.batch.size": flush.size,
        "opsconnect.commit_ms": max(flush.append_ended_ns - flush.append_started_ns, 0) / 1e6,
    }
    if flush.size >= 2:
        attributes["db.operation.batch.size"] = flush.size
    return attributes
