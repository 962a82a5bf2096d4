"""What a request is answered with, whoever writes it to the wire."""

from typing import Any, NamedTuple

from app.adapters.web.problems import CONTENT_TYPE, body_of, retry_after
from app.core.catalog.handshakes import HandshakeAnswer
from app.core.catalog.provider import Answer as Prescribed
from app.core.domain.errors import OpsConnectError, OutcomeUnknown
from app.core.ports.telemetry import Delivery
from app.core.use_cases.ingest_webhook import Accepted, Challenged, Receipt, Refused, Repeated

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
    if isinstance(result, Accepted):
        return _kept("accepted", 202, result, delivery)
    if isinstance(result, Repeated):
        return _kept("duplicate", 200, result, delivery)
    if isinstance(result, OpsConnectError):
        delivery.detail = str(result)
        code = "outcome_unknown" if isinstance(result, OutcomeUnknown) else "unavailable"
        return problem(code, delivery, (b"retry-after", retry_after()))
    if isinstance(result, Challenged):
        delivery.status, delivery.outcome = result.answer.status, "challenge"
        return _as_asked(result.answer)
    return _refused(result, delivery)


def problem(code: str, delivery: Delivery, *extra: Header, **content: Any) -> Answer:
    """Answer an error of the table, and note it in the record."""
    delivery.status, body = body_of(code, **content)
    delivery.outcome = code
    return Answer(delivery.status, (_PROBLEM, *extra), body)


def _kept(outcome: str, status: int, result: Accepted | Repeated, delivery: Delivery) -> Answer:
    delivery.status, delivery.outcome = status, outcome
    event_id = result.event_id.encode()
    # All three are made of characters that JSON does not escape.
    body = b'{"status":"%b","event_id":"%b","source":"%b"}' % (outcome.encode(), event_id, delivery.source.encode())
    ours = Answer(status, (_JSON, (b"x-event-id", event_id)), body)
    prescribed = result.prescribed
    if prescribed is None:
        return ours
    delivery.status = prescribed.status
    if isinstance(prescribed, HandshakeAnswer):
        asked = _as_asked(prescribed)
        return Answer(asked.status, (*asked.headers, (b"x-event-id", event_id)), asked.body)
    return _prescribed(prescribed, ours)


def _refused(refused: Refused, delivery: Delivery) -> Answer:
    delivery.outcome = refused.code
    status, body = body_of(refused.code, faults=refused.faults)
    answer = Answer(status, (_PROBLEM,), body)
    if refused.prescribed is not None:
        answer = _prescribed(refused.prescribed, answer)
    delivery.status = answer.status
    return answer


def _prescribed(prescribed: Prescribed, ours: Answer) -> Answer:
    """Say what we say in the way that the provider insists on."""
    if prescribed.body is None:
        return ours._replace(status=prescribed.status)
    kept = tuple(header for header in ours.headers if header[0] != b"content-type")
    kind = ((b"content-type", prescribed.content_type.encode()),) if prescribed.content_type else ()
    return Answer(prescribed.status, (*kind, *kept), prescribed.body.encode())


def _as_asked(answer: HandshakeAnswer) -> Answer:
    # All of it is printable: what a challenge brought was looked at before it was put there.
    headers = tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items())
    return Answer(answer.status, headers, answer.body)
