"""Events whose sender insists on an answer of its own. They are kept first."""

import base64
import re

from app.core.catalog.handshakes.answers import NO_SNIFFING, HandshakeAnswer, refused
from app.core.catalog.handshakes.asked import header, same
from app.core.catalog.proof import Credentials, SignedRequest
from app.core.domain.body import Readable, read_json

_ACK = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>'
    b"</soapenv:Body></soapenv:Envelope>"
)
_TWIML = b'<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
_DECLARATION = re.compile(rb"<!(?:DOCTYPE|ENTITY)|\x00", re.IGNORECASE)
_ORGANIZATION = re.compile(rb"<(?:[\w.-]{1,64}:)?OrganizationId>\s{0,64}([A-Za-z0-9]{1,64})\s{0,64}</")


def salesforce(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Acknowledge an outbound message of the setting `organization_id`; documents that declare entities are refused."""
    if request.method != "POST":
        return None
    if _DECLARATION.search(request.body):
        return refused(400)
    expected = credentials.settings.get("organization_id")
    found = [value.decode() for value in _ORGANIZATION.findall(request.body)]
    if expected and not (len(found) == 1 and _same_organization(found[0], expected)):
        return refused(403)
    return HandshakeAnswer(200, {"Content-Type": "text/xml", **NO_SNIFFING}, _ACK, after_event=True)


def adyen(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """The word that the classic notifications wait for; the setting `basic` is the user and password they come with."""
    parsed = read_json(request.body) if request.method == "POST" and b'"notificationItems"' in request.body else None
    found = parsed.value if isinstance(parsed, Readable) else None
    items = found.get("notificationItems") if isinstance(found, dict) else None
    if not isinstance(items, list):
        return None
    basic = credentials.settings.get("basic")
    if basic and not same(header(request, b"authorization"), b"Basic " + base64.b64encode(basic.encode())):
        return refused(401)
    headers = {"Content-Type": "text/plain", **NO_SNIFFING}
    # A list without items is a test of the connection: there is nothing to keep, and nothing that was signed.
    return HandshakeAnswer(200, headers, b"[accepted]", needs_signature=bool(items), after_event=bool(items))


def teams(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """A message for the channel, without which Teams shows an error there."""
    if request.method != "POST":
        return None
    body = b'{"type": "message", "text": "Received."}'
    headers = {"Content-Type": "application/json", **NO_SNIFFING}
    return HandshakeAnswer(200, headers, body, needs_signature=True, after_event=True)


def twilio(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Instructions in XML, namely none."""
    if request.method not in {"GET", "POST"}:
        return None
    headers = {"Content-Type": "text/xml", **NO_SNIFFING}
    return HandshakeAnswer(200, headers, _TWIML, needs_signature=True, after_event=True)


def github(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """The first event of a webhook, which is content with any success."""
    is_ping = request.method == "POST" and header(request, b"x-github-event") == "ping"
    return HandshakeAnswer(200, needs_signature=True, after_event=True) if is_ping else None


def _same_organization(found: str, expected: str) -> bool:
    """Compare ids of 15 or 18 characters: the last three only repeat the case of the others."""
    return len(found) in {15, 18} and len(expected) in {15, 18} and same(found[:15], expected[:15])
