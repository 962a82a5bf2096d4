"""From a genuine request to the event that it brings: which delivery it is, of what type, and what of it is kept."""

from datetime import UTC, datetime
from hashlib import sha256

from app.core.catalog.identification import Identifier
from app.core.catalog.proof import Genuine, SignedRequest
from app.core.domain.credentials import chosen
from app.core.domain.delivery_key import delivery_key, printable
from app.core.domain.errors import Fault
from app.core.domain.event import NewEvent
from app.core.domain.ids import event_id
from app.core.domain.lead import read_lead
from app.core.domain.source import Source

LEAD_SOURCE = "salesforce"
LEAD_DELIVERY_ID = b"x-delivery-id"
LONGEST_TYPE = 256


Received = tuple[Source, Genuine, int, str]
"""What is known of a request beside itself: whose it is, how it was proved, when it came (ns), its trace context."""


def event_of(identify: Identifier, request: SignedRequest, received: Received) -> NewEvent:
    """Make the event of a request; one that cannot be read, though it is to say in its body who it is, is set aside."""
    identity = identify(request)
    digest = sha256(request.body)
    raw_id = identity.key or b"sha256:" + digest.hexdigest().encode()
    type_ = printable(identity.event_type)[:LONGEST_TYPE] if identity.event_type else None
    return _new_event(request, received, digest.digest(), raw_id, type_, identity.unreadable)


def lead_event(request: SignedRequest, received: Received) -> NewEvent | tuple[Fault, ...]:
    """Make the event of a lead, or say what keeps it from being one.

    A lead that changes is a new event; the same lead again is a duplicate.
    """
    lead = read_lead(request.body)
    if isinstance(lead, tuple):
        return lead
    digest = sha256(request.body)
    raw_id = request.first(LEAD_DELIVERY_ID) or (
        lead.lead_id.encode("utf-8", "surrogatepass") + b":" + digest.hexdigest().encode()
    )
    return _new_event(request, received, digest.digest(), raw_id, "lead", None)


def _new_event(
    request: SignedRequest,
    received: Received,
    digest: bytes,
    raw_id: bytes,
    type_: str | None,
    quarantine: str | None,
) -> NewEvent:
    source, verdict, received_ns, traceparent = received
    content_type = request.first(b"content-type")
    return NewEvent(  # by place: names would cost a microsecond
        event_id(received_ns),
        source.name,
        source.provider,
        delivery_key(source.name, raw_id),
        printable(raw_id.replace(b"\0", b" ")),
        type_,
        datetime.fromtimestamp(received_ns / 1_000_000_000, UTC),
        chosen(request.headers),
        content_type.decode("latin-1")[:LONGEST_TYPE] if content_type else None,
        request.body,
        digest,
        verdict.verification,
        traceparent,
        quarantine,
    )
