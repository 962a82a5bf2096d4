"""Challenges that want to see again what they sent."""

import re
from hashlib import sha1

from app.core.catalog.handshakes.answers import HandshakeAnswer, plain, reflectable, refused, structured
from app.core.catalog.handshakes.asked import header, query, same
from app.core.catalog.proof import Credentials, SignedRequest


def meta(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Meta, WhatsApp, Messenger, Instagram: the challenge as it is, for the agreed token."""
    asked = query(request, "GET")
    if "hub.challenge" not in asked:
        return None
    return plain(asked["hub.challenge"]) if _subscribes(asked, credentials) else refused(403)


def strava(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """The question of Meta, answered in JSON."""
    asked = query(request, "GET")
    if "hub.challenge" not in asked:
        return None
    return structured({"hub.challenge": asked["hub.challenge"]}) if _subscribes(asked, credentials) else refused(403)


def websub(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """The challenge as it is, if the setting `topics` (with blanks between) wants what the hub is about to do."""
    asked = query(request, "GET")
    mode = asked.get("hub.mode")
    if mode == "denied":
        return HandshakeAnswer(200)
    if "hub.challenge" not in asked:
        return None
    wanted = asked.get("hub.topic", "") in credentials.settings.get("topics", "").split()
    # Whoever asks the hub to end a subscription that is still configured, it was not us.
    agreed = wanted if mode == "subscribe" else mode == "unsubscribe" and not wanted
    return plain(asked["hub.challenge"]) if agreed else refused(404)


def challenge(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Dropbox and Nylas: `challenge` as it is."""
    asked = query(request, "GET")
    return plain(asked["challenge"]) if "challenge" in asked else None


def onfleet(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Give `check` back as it is."""
    asked = query(request, "GET")
    return plain(asked["check"]) if "check" in asked else None


def wechat(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """`echostr` as it is, if the signature over token, time and nonce, in order of their letters, is right."""
    asked = query(request, "GET")
    if "echostr" not in asked:
        return None
    time_and_nonce = [asked.get(name, "").encode("utf-8", "replace") for name in ("timestamp", "nonce")]
    for token in filter(None, credentials.secrets):
        made = sha1(b"".join(sorted((token, *time_and_nonce))), usedforsecurity=False).hexdigest()
        if same(asked.get("signature", ""), made):
            return plain(asked["echostr"])
    return refused(403)


def graph(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Microsoft Graph, OneDrive and SharePoint: `validationToken` of a POST's query, decoded."""
    asked = query(request, "POST")
    return plain(asked["validationToken"]) if "validationToken" in asked else None


def okta(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Give the header's value back in JSON; an `Authorization` that is sent along must be the configured one."""
    value = header(request, b"x-okta-verification-challenge")
    if request.method != "GET" or not value:
        return None
    authorization = header(request, b"authorization")
    if authorization and credentials.secrets and not any(same(authorization, each) for each in credentials.secrets):
        return refused(401)
    return structured({"verification": value})


def asana(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Give the secret back in the same header, and keep it."""
    value = header(request, b"x-hook-secret")
    if request.method != "POST" or not value:
        return None
    if not reflectable(value):
        return refused(400)
    return HandshakeAnswer(200, {"X-Hook-Secret": value}, stores_secret=value.encode())


def smartsheet(request: SignedRequest, _credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """Give the challenge back in a header and in the body; it comes again and again."""
    value = header(request, b"smartsheet-hook-challenge")
    if request.method != "POST" or not value:
        return None
    return structured({"smartsheetHookResponse": value}, {"Smartsheet-Hook-Response": value})


_ORIGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def cloudevents(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """CloudEvents and Event Grid: allow the origin, if the setting `allowed_origins` (with blanks between) does.

    No header is how this protocol says no. The setting `rate` is in requests a minute.
    """
    origin = header(request, b"webhook-request-origin")
    if request.method != "OPTIONS" or not origin:
        return None
    allowed = credentials.settings.get("allowed_origins", "").split()
    if "*" in allowed:
        granted = "*"
    elif origin in allowed and _ORIGIN.fullmatch(origin):
        granted = origin
    else:
        return HandshakeAnswer(200)
    headers = {"WebHook-Allowed-Origin": granted, "Allow": "POST"}
    if header(request, b"webhook-request-rate"):
        headers["WebHook-Allowed-Rate"] = credentials.settings.get("rate", "*")
    return HandshakeAnswer(200, headers)


def _subscribes(asked: dict[str, str], credentials: Credentials) -> bool:
    agreed = same(asked.get("hub.verify_token", ""), credentials.settings.get("verify_token"))
    return agreed and asked.get("hub.mode") == "subscribe"
