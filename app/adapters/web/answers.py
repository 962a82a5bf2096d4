"""What a request is answered with, whoever writes it to the wire."""

from typing import Any, NamedTuple

from app.adapters.web.problems import CONTENT_TYPE, body_of, retry_after
from app.core.domain.errors import OpsConnectError, OutcomeUnknown
from app.core.ports.telemetry import Delivery
from app.core.use_cases.ingest_webhook import Accepted, Receipt, Refused

Header = tuple[bytes, bytes]

_JSON: Header = (b"content-type", b"application/json")
_PROBLEM: Header = (b"content-type", CONTENT_TYPE)


class Answer(NamedTuple):
    """Status, headers without length and trace, body."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


def answer_to(result: Receipt | OpsConnectError, delivery: Delivery) -> Answer:
    """Say what became of a delivery, and note it in its record."""
    if isinstance(result, OpsConnectError):
        delivery.detail = str(result)
        code = "outcome_unknown" if isinstance(result, OutcomeUnknown) else "unavailable"
        return problem(code, delivery, (b"retry-after", retry_after()))
    if isinstance(result, Refused):
        delivery.outcome = result.code
        delivery.status, body = body_of(result.code, faults=result.faults)
        return Answer(delivery.status, (_PROBLEM,), body)
    status, outcome = (202, "accepted") if isinstance(result, Accepted) else (200, "duplicate")
    delivery.status, delivery.outcome = status, outcome
    # All three are made of characters that JSON does not escape.
    body = b'{"status":"%b","event_id":"%b","source":"%b"}' % (
        outcome.encode(),
        event_id := result.event_id.encode(),
        delivery.source.encode(),
    )
    return Answer(status, (_JSON, (b"x-event-id", event_id)), body)


def problem(code: str, delivery: Delivery, *extra: Header, **content: Any) -> Answer:
    """Answer an error of the table, and note it in the record."""
    delivery.status, body = body_of(code, **content)
    delivery.outcome = code
    return Answer(delivery.status, (_PROBLEM, *extra), body)
