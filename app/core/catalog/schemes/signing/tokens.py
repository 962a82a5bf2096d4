"""Signing with a JSON Web Token: what it claims is made by the same rules by which it is judged."""

import base64
import hmac
import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from app.core.catalog.proof import Credentials, SignedRequest
from app.core.catalog.schemes.jira_connect import query_hash
from app.core.catalog.schemes.jws import compact
from app.core.catalog.schemes.mac import secrets_of, setting
from app.core.catalog.schemes.oidc import CHAT, GOOGLE_ISSUERS
from app.core.catalog.schemes.reading import json_object
from app.core.catalog.schemes.signing.private_keys import es256, rs256
from app.core.catalog.schemes.signing.written import made_up_id, with_headers

LIFETIME_SECONDS = 3_600


def netlify(credentials: Credentials, request: SignedRequest, _now: float) -> SignedRequest:
    """Issuer and body's hash."""
    claims = {"iss": "netlify", "sha256": sha256(request.body).hexdigest()}
    return with_headers(request, x_webhook_signature=_hs256(credentials, claims))


def vonage(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """When, an id, and the body's hash where there is a body."""
    claims: dict[str, Any] = {**_lifetime(now), "jti": made_up_id(request).decode()}
    if request.body:
        claims["payload_hash"] = sha256(request.body).hexdigest()
    return with_headers(request, authorization=b"Bearer " + _hs256(credentials, claims))


def fusionauth(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """When, and the body's hash in base64."""
    claims = {"request_body_sha256": base64.b64encode(sha256(request.body).digest()).decode(), **_lifetime(now)}
    return with_headers(request, x_fusionauth_signature_jwt=_hs256(credentials, claims))


def monday(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """When, and for whom."""
    claims = {"aud": credentials.settings.get("audience", request.url), **_lifetime(now)}
    return with_headers(request, authorization=_hs256(credentials, claims))


def jira_connect(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Issuer, when, and the hash of method, path and query."""
    settings = credentials.settings
    claims = {
        "iss": settings.get("client_key", "client-key"),
        "qsh": query_hash(request, settings.get("base_url", "")),
        **_lifetime(now),
    }
    return with_headers(request, authorization=b"JWT " + _hs256(credentials, claims))


def wix(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Turn the body into the token that holds it."""
    claims = {"data": request.body.decode(), **_lifetime(now)}
    token = compact({"alg": "RS256", "typ": "JWT"}, claims, rs256(credentials))
    return with_headers(request._replace(body=token), content_type=b"text/plain")


def plaid(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """When, and the body's hash."""
    header = {"alg": "ES256", "kid": setting(credentials, "kid"), "typ": "JWT"}
    claims = {"iat": int(now), "request_body_sha256": sha256(request.body).hexdigest()}
    return with_headers(request, plaid_verification=compact(header, claims, es256(credentials)))


def google_oidc(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """As the sign-in service does it for Pub/Sub."""
    return _google(credentials, request, now, GOOGLE_ISSUERS[0], setting(credentials, "email"))


def google_chat(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """As it is done for Chat: by the sign-in service for a URL, by Chat's own account for a project number."""
    issuer = GOOGLE_ISSUERS[0] if setting(credentials, "audience").startswith("https://") else CHAT
    return _google(credentials, request, now, issuer, CHAT)


def _google(credentials: Credentials, request: SignedRequest, now: float, issuer: str, email: str) -> SignedRequest:
    header = {"alg": "RS256", "kid": setting(credentials, "kid"), "typ": "JWT"}
    audience = setting(credentials, "audience")
    claims = {"iss": issuer, "aud": audience, "email": email, "email_verified": True, **_lifetime(now)}
    return with_headers(request, authorization=b"Bearer " + compact(header, claims, rs256(credentials)))


def apple_jws(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Turn the body, which is the notification, into the token that holds it, with its certificates."""
    header = {"alg": "ES256", "x5c": json.loads(setting(credentials, "x5c"))}
    notification = json_object(request.body)
    about = {"bundleId": setting(credentials, "bundle_id"), "environment": "Sandbox", **notification.get("data", {})}
    if "environment" in credentials.settings:
        about["environment"] = credentials.settings["environment"]
    signed = compact(header, {**notification, "data": about, "signedDate": int(now * 1000)}, es256(credentials))
    return request._replace(body=json.dumps({"signedPayload": signed.decode()}).encode())


def _hs256(credentials: Credentials, claims: dict[str, Any]) -> bytes:
    sign: Callable[[bytes], bytes] = lambda text: hmac.digest(secrets_of(credentials)[0], text, "sha256")  # noqa: E731
    return compact({"alg": "HS256", "typ": "JWT"}, claims, sign)


def _lifetime(now: float) -> dict[str, int]:
    return {"iat": int(now), "exp": int(now) + LIFETIME_SECONDS}
