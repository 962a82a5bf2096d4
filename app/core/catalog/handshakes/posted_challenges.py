"""Challenges in the body of a POST, and pings that are no events."""

from app.core.catalog.handshakes.answers import HandshakeAnswer, plain, reflectable, refused, structured
from app.core.catalog.handshakes.asked import header, posted, posted_value, same, text_of
from app.core.catalog.proof import Credentials, Freshness, Genuine, SignedRequest
from app.core.catalog.schemes.address import allowed
from app.core.catalog.schemes.refused import Refused
from app.core.catalog.schemes.url_and_form import mandrill as mandrill_scheme

_EVENT_GRID = "Microsoft.EventGrid.SubscriptionValidationEvent"
_mandrill_test = mandrill_scheme(Credentials((b"test-webhook",)), Freshness())


def slack(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Give the challenge back as text."""
    body = posted(request, b"url_verification")
    if body.get("type") != "url_verification":
        return None
    return plain(text_of(body, "challenge"), needs_signature=True)


def twitch(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Give the challenge back as text."""
    if header(request, b"twitch-eventsub-message-type") != "webhook_callback_verification":
        return None
    return plain(text_of(posted(request, b"challenge"), "challenge"), needs_signature=True)


def monday(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Give the challenge back in JSON."""
    body = posted(request, b"challenge")
    return structured({"challenge": text_of(body, "challenge")}) if "challenge" in body else None


def lark(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Give the challenge back in JSON, for the agreed token."""
    body = posted(request, b"url_verification")
    if body.get("type") != "url_verification":
        return None
    if not any(same(text_of(body, "token"), secret) for secret in credentials.secrets):
        return refused(403)
    return structured({"challenge": text_of(body, "challenge")})


def toggl(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Give the code of a ping back in JSON."""
    body = posted(request, b"validation_code")
    return structured({"validation_code": text_of(body, "validation_code")}) if "validation_code" in body else None


def notion(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Keep the token, with which every event will be signed."""
    body = posted(request, b"verification_token")
    token = text_of(body, "verification_token")
    if not token or "type" in body:
        return None
    return HandshakeAnswer(200, stores_secret=token.encode()) if reflectable(token) else refused(400)


def event_grid(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Give the code of the first event back in JSON; with 202 it would not count."""
    events = posted_value(request, b"validationCode")
    event = events[0] if isinstance(events, list) and events else {}
    if text_of(event, "eventType") != _EVENT_GRID:
        return None
    return structured({"validationResponse": text_of(event.get("data"), "validationCode")})


def discord(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """PONG for the ping of interactions (1), nothing for the one of events (0), nothing after an event.

    Badly signed probes come among them, and must get what bad events get.
    """
    body = posted(request, b'"type"')
    kind = body.get("type")
    if kind == 0 and kind is not False:
        return HandshakeAnswer(204, needs_signature=True)
    if kind != 1 or kind is True:
        return None
    if "event" in body:
        return HandshakeAnswer(204, needs_signature=True, after_event=True)
    return structured({"type": 1}, needs_signature=True)


def empty_events(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """LINE's button and Xero's intent to receive: a signed list without events, answered by the status alone."""
    return HandshakeAnswer(200, needs_signature=True) if posted(request, b'"events"').get("events") == [] else None


def drive(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Google Drive says that a channel begins."""
    begins = request.method == "POST" and header(request, b"x-goog-resource-state") == "sync"
    return HandshakeAnswer(200, needs_signature=True) if begins else None


def sns(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Confirm a subscription by calling the address that the message names, if it is one of SNS.

    The scheme has compared the topic by then, where the setting `topic_arn` names some.
    """
    body = posted(request, b"SubscriptionConfirmation")
    if body.get("Type") != "SubscriptionConfirmation":
        return None
    from app.core.catalog.schemes.aws_sns import HOST, SUBSCRIBE_PATH  # brings cryptography, which is slow to load

    try:
        url = allowed(text_of(body, "SubscribeURL"), HOST, SUBSCRIBE_PATH, "SubscribeURL")
    except Refused:
        return refused(403)
    return HandshakeAnswer(200, needs_signature=True, fetch=url)


def alive(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Trello asks by HEAD, Mailchimp by GET, whether there is anybody."""
    return HandshakeAnswer(200) if request.method in {"HEAD", "GET"} else None


def mandrill(request: SignedRequest, credentials: Credentials, now: float | None) -> HandshakeAnswer | None:
    """Mandrill asks by HEAD, and then by a POST without events whose key is known to everybody."""
    if request.method == "POST" and request.body == b"mandrill_events=%5B%5D":
        return HandshakeAnswer(200) if isinstance(_mandrill_test(request, now), Genuine) else None
    return alive(request, credentials, now)
