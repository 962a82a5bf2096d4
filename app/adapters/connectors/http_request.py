"""From what is asked to a request that can be sent: with the connection's headers, its key and its proofs."""

from collections.abc import Mapping
from typing import NamedTuple

from app.adapters.connectors.http_auth import sign_delivery
from app.adapters.connectors.http_input import ASKING, Asked, described_asked, payload_asked
from app.adapters.connectors.http_settings import HttpSettings
from app.core.catalog.proof import SignedRequest
from app.core.domain.connector import ActionCall, Json
from app.core.domain.errors import Fault, Invalid
from app.core.domain.outgoing import OutgoingRequest


class Kind(NamedTuple):
    """What an action makes of its input."""

    method: str | None
    """None: the input says."""
    schema: Mapping[str, Json]
    keyed: bool = False
    """It goes with an idempotency key."""
    signed: bool = False
    """It is a delivery of Standard Webhooks, whose id is that key."""


def request_of(kind: Kind, call: ActionCall, settings: HttpSettings, now: float) -> OutgoingRequest:
    """Make the request. Raises `Invalid` with what is wrong in the input, the settings or a secret."""
    if not call.whole:
        asked = described_asked(kind.method, kind.schema, settings.base_url, call.input)
    elif kind.method is None or kind.schema is ASKING:
        raise Invalid([Fault("", "this action sends no payload as it came: use post, or describe what to ask for")])
    else:
        asked = payload_asked(kind.method, settings.base_url, call.input)
    ours = {"webhook-id" if kind.signed else "idempotency-key": call.key if kind.keyed else ""}
    ours["traceparent"] = call.traceparent
    headers = {**asked.headers, **{name: value for name, value in ours.items() if value}}
    return finished(asked._replace(headers=headers), call, settings, now, signed=kind.signed)


def finished(
    asked: Asked, call: ActionCall, settings: HttpSettings, now: float, *, signed: bool = False
) -> OutgoingRequest:
    """Add what every request of the connection has, and prove it at last, for a proof may cover all of it."""
    try:
        headers = {**settings.headers, **asked.headers}.items()
        raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
    except UnicodeEncodeError:
        raise Invalid([Fault("headers", "can hold nothing beyond Latin-1, and ASCII in their names")]) from None
    request = SignedRequest(asked.method, asked.url, raw, asked.body)
    if signed:
        request = sign_delivery(request, call.secrets, now)
    if settings.auth is not None:
        request = settings.auth.proved(request, call.secrets, now)
    return OutgoingRequest(
        request.url,
        request.method,
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers],
        request.body,
        call.allow_private,
        seconds=min(call.seconds, settings.timeout_seconds),
    )
