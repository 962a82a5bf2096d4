"""A refusal: a request that was not accepted, kept for a while so that a person can look at it and release it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from app.core.domain.credentials import chosen_with
from app.core.domain.delivery_key import printable
from app.core.domain.ids import EventId, RefusalId, refusal_id

ROW_BYTES = 300
"""What a refusal takes beside its request: ids, times, short texts."""


class RefusalState(StrEnum):
    """Where a refusal stands: refused → released."""

    REFUSED = "refused"
    RELEASED = "released"
    """It was verified again, and is an event now."""


class NewRefusal(NamedTuple):
    """What the door hands over when it refuses a request."""

    id: RefusalId
    received_at: datetime
    source: str
    """Empty: no source has the name in the URL."""
    provider: str
    code: str
    """What the sender was told."""
    detail: str
    """What only the operator is told."""
    method: str
    url: str
    """Path and query as they were asked for."""
    client: str
    traceparent: str
    """The W3C trace context of its receipt, which the event continues if it is released."""
    lead: bool
    """It came in by `/webhook`, where only a valid lead is taken."""
    headers: tuple[tuple[str, str], ...]
    """In the order they came, names in lower case; of the credentials only those that verifying needs."""
    body: bytes | None
    """Exactly as received; None: it was refused before its body was read whole."""

    @property
    def weight(self) -> int:
        """Tell how many bytes it takes, near enough: what bounds on bytes count."""
        headers = sum(len(name) + len(value) for name, value in self.headers)
        return ROW_BYTES + len(self.url) + len(self.detail) + headers + len(self.body or b"")


def new_refusal(
    *,
    received_ns: int,
    source: str,
    provider: str,
    code: str,
    detail: str,
    method: str,
    target: bytes,
    client: str,
    traceparent: str,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes | None,
    lead: bool = False,
    needed: Collection[str] = (),
) -> NewRefusal:
    """Make the refusal of a request as it was received.

    `target` is the request's path and query, byte by byte. `needed` names the headers (in lower case) that the source's
    scheme verifies by: they are kept even where they are credentials. Nothing that a sender writes makes this raise.
    """
    return NewRefusal(
        id=refusal_id(received_ns),
        received_at=datetime.fromtimestamp(received_ns / 1_000_000_000, UTC),
        source=source,
        provider=provider,
        code=code,
        detail=printable(detail.encode("utf-8", "surrogatepass")),
        method=method,
        url=target.decode("latin-1").replace("\0", "%00"),  # Postgres keeps no NUL in a text
        client=client,
        traceparent=traceparent,
        lead=lead,
        headers=chosen_with(headers, needed),
        body=body,
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as it is looked at later; `headers` and `body` are None in a list."""

    id: RefusalId
    received_at: datetime
    source: str
    provider: str
    code: str
    detail: str
    method: str
    url: str
    client: str
    traceparent: str
    lead: bool
    size: int | None
    """Bytes of the body; None: it was refused before its body was read whole."""
    digest: bytes | None
    """SHA-256 of the body, 32 bytes; None where there is no body."""
    event_id: EventId | None
    """The event that it became, once it is released."""
    headers: tuple[tuple[str, str], ...] | None = None
    body: bytes | None = None

    @property
    def state(self) -> RefusalState:
        """Tell where it stands."""
        return RefusalState.REFUSED if self.event_id is None else RefusalState.RELEASED

    @property
    def trace_id(self) -> str:
        """Give the trace that its receipt is in: 32 hexadecimal digits."""
        return self.traceparent.split("-")[1]

    @property
    def content_type(self) -> str | None:
        """Give what the sender called its body; None in a list."""
        return next((value for name, value in self.headers or () if name == "content-type"), None)
