"""Challenges that want to see that the receiver knows the secret."""

import base64
import hmac
import re
from hashlib import sha256

from app.core.catalog.handshakes.answers import HandshakeAnswer, plain, reflectable, refused, structured
from app.core.catalog.handshakes.asked import posted, query, same, text_of
from app.core.catalog.proof import Credentials, SignedRequest
from app.core.catalog.schemes.braintree import signature

_BRAINTREE_CHALLENGE = re.compile(r"[a-f0-9]{20,32}")


def x(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """The HMAC of `crc_token`, every hour."""
    asked = query(request, "GET")
    if "crc_token" not in asked:
        return None
    made = _hmac(credentials, asked["crc_token"])
    return structured({"response_token": f"sha256={base64.b64encode(made).decode()}"}) if made else refused(400)


def linkedin(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """`challengeCode` and its HMAC, every two hours."""
    asked = query(request, "GET")
    if "challengeCode" not in asked:
        return None
    code = asked["challengeCode"]
    made = _hmac(credentials, code)
    return structured({"challengeCode": code, "challengeResponse": made.hex()}) if made else refused(400)


def ebay(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """The SHA-256 of `challenge_code`, the setting `verification_token` and the endpoint's URL.

    The setting `endpoint` is the URL as eBay was given it; else it is the request's.
    """
    asked = query(request, "GET")
    if "challenge_code" not in asked:
        return None
    token = credentials.settings.get("verification_token")
    if not token or not reflectable(asked["challenge_code"]):
        return refused(400)
    endpoint = credentials.settings.get("endpoint") or request.url.partition("?")[0]
    told = f"{asked['challenge_code']}{token}{endpoint}".encode("utf-8", "replace")
    return structured({"challengeResponse": sha256(told).hexdigest()})


def braintree(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """The public key and the code of `bt_challenge`."""
    asked = query(request, "GET")
    if "bt_challenge" not in asked:
        return None
    public_keys = credentials.settings.get("public_key", "").split()
    value = asked["bt_challenge"]
    if not public_keys or not any(credentials.secrets) or not _BRAINTREE_CHALLENGE.fullmatch(value):
        return refused(400)
    return plain(f"{public_keys[0]}|{signature(credentials.secrets[0], value.encode()).decode()}")


def fitbit(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """204 for the right code in `verify`, 404 for a wrong one: Fitbit tries both."""
    asked = query(request, "GET")
    if "verify" not in asked:
        return None
    return HandshakeAnswer(204) if same(asked["verify"], credentials.settings.get("code")) else refused(404)


def zoom(request: SignedRequest, credentials: Credentials, _now: float | None) -> HandshakeAnswer | None:
    """`plainToken` and its HMAC, every 72 hours; the question is signed like an event."""
    body = posted(request, b"endpoint.url_validation")
    if body.get("event") != "endpoint.url_validation":
        return None
    token = text_of(body.get("payload"), "plainToken")
    made = _hmac(credentials, token) if token else b""
    if not made:
        return refused(400)
    return structured({"plainToken": token, "encryptedToken": made.hex()}, needs_signature=True)


def _hmac(credentials: Credentials, text: str) -> bytes:
    if not any(credentials.secrets[:1]) or not reflectable(text):
        return b""
    return hmac.digest(credentials.secrets[0], text.encode(), "sha256")
