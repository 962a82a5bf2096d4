"""Libraries of those on whose platforms others build, and of the common ways to sign."""

import json
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import atlassian_jwt
import jwt
from appstoreserverlibrary.models.Environment import Environment
from appstoreserverlibrary.signed_data_verifier import SignedDataVerifier, VerificationException
from box_sdk_gen.internal.utils import compute_webhook_signature
from box_sdk_gen.managers.webhooks import WebhooksManager
from gidgethub import ValidationFailure
from gidgethub.sansio import validate_event
from google.auth import crypt
from google.auth import jwt as google_jwt
from google.oauth2.id_token import verify_oauth2_token
from pyairtable.models.webhook import WebhookNotification
from replicate.webhook import Webhooks, WebhookSigningSecret, WebhookValidationError
from standardwebhooks import Webhook, WebhookVerificationError
from svix.webhooks import Webhook as SvixWebhook

from app.core.catalog.proof import Credentials, SignedRequest
from app.core.catalog.schemes.signing.generated import AUDIENCE
from tests.senders.parts import header, http, secret_of, with_headers, with_other_token, with_other_url
from tests.senders.sender import JSON, URL, Sender, Sign, Take, Traits, pair, shared, whsec

AIRTABLE = b'{"base":{"id":"app4200"},"webhook":{"id":"ach1"},"timestamp":"2026-01-02T03:04:05.678Z"}'
GITHUB = ((b"x-github-event", b"push"), (b"x-github-delivery", b"72d3162e-cc78-11e3-81ab-4c9367dc0958"))
LEEWAY_SECONDS = 90
"""By which Atlassian's library lets a token's end pass."""


def standard_signs(webhook: Callable[[str], Any], prefix: str) -> Sign:
    def sign(private: Credentials, request: SignedRequest, now: float) -> SignedRequest:
        signed = webhook(secret_of(private)).sign("msg_1", datetime.fromtimestamp(now, UTC), request.body.decode())
        stamp = str(int(now))
        return with_headers(
            request, {f"{prefix}-id": "msg_1", f"{prefix}-timestamp": stamp, f"{prefix}-signature": signed}
        )

    return sign


def standard_takes(webhook: Callable[[str], Any]) -> Take:
    def take(public: Credentials, request: SignedRequest) -> object:
        webhook(secret_of(public)).verify(request.body, dict(http(request).headers))
        return True

    return take


def replicate_takes(public: Credentials, request: SignedRequest) -> object:
    secret = WebhookSigningSecret(key=secret_of(public))
    return Webhooks.validate(request=http(request), secret=secret, tolerance=300)


def box_signs(private: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """With the code of its library's own verification, whose body it escapes as Box does."""
    stamp = datetime.fromtimestamp(int(now), UTC).isoformat()
    stamped = with_headers(
        request,
        {
            "box-delivery-timestamp": stamp,
            "box-signature-algorithm": "HmacSHA256",
            "box-signature-version": "1",
        },
    )
    body, headers = request.body.decode(), dict(http(stamped).headers)
    signed = compute_webhook_signature(body, headers, secret_of(private), escape_body=True)
    return with_headers(stamped, {"box-signature-primary": signed or ""})


def box_takes(public: Credentials, request: SignedRequest) -> object:
    return WebhooksManager.validate_message(request.body.decode(), dict(http(request).headers), secret_of(public))


def netlify_signs(private: Credentials, request: SignedRequest, _now: float) -> SignedRequest:
    claims = {"iss": "netlify", "sha256": sha256(request.body).hexdigest()}
    return with_headers(request, {"X-Webhook-Signature": jwt.encode(claims, secret_of(private), "HS256")})


def netlify_takes(public: Credentials, request: SignedRequest) -> object:
    """As Netlify's page says it: the token first, then the hash in it."""
    claims = jwt.decode(header(request, "x-webhook-signature"), secret_of(public), ["HS256"], issuer="netlify")
    return claims["sha256"] == sha256(request.body).hexdigest()


def atlassian_signs(private: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    times = {"iat": int(now), "exp": int(now) + 3_600}
    token = atlassian_jwt.encode_token("POST", request.url, "client", secret_of(private), payload_kwargs=times)
    return with_headers(request, {"Authorization": f"JWT {token}"})


def atlassian_takes(public: Credentials, request: SignedRequest) -> object:
    class App(atlassian_jwt.Authenticator):  # type: ignore[misc]  # the library has no types
        def get_shared_secret(self, _client_key: str) -> str:
            return secret_of(public)

    return App().authenticate(request.method, request.url, dict(http(request).headers))


def google_signs(private: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    signer = crypt.RSASigner.from_string(private.secrets[0], private.settings["kid"])
    claims = {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "email": private.settings["email"],
        "email_verified": True,
        "iat": int(now),
        "exp": int(now) + 3_600,
    }
    return with_headers(request, {"Authorization": f"Bearer {google_jwt.encode(signer, claims).decode()}"})


def google_takes(public: Credentials, request: SignedRequest) -> object:
    """Its transport finds, at whatever address, the keys that the source has."""

    def transport(_url: str, **_options: object) -> SimpleNamespace:
        return SimpleNamespace(status=200, data=public.settings["jwks"].encode())

    return verify_oauth2_token(header(request, "authorization").split()[1], transport, AUDIENCE)


def apple_takes(public: Credentials, request: SignedRequest) -> object:
    root = b64decode(public.settings["root_der_b64"])
    verifier = SignedDataVerifier([root], False, Environment.SANDBOX, public.settings["bundle_id"])
    return verifier.verify_and_decode_notification(json.loads(request.body)["signedPayload"])


def with_other_payload(request: SignedRequest) -> SignedRequest:
    place = request.body.index(b".") + 12
    letter = b"A" if request.body[place : place + 1] != b"A" else b"B"
    return request._replace(body=request.body[:place] + letter + request.body[place + 1 :])


SENDERS = (
    Sender(
        "standardwebhooks",
        "standardwebhooks",
        "standardwebhooks",
        standard_takes(Webhook),
        standard_signs(Webhook, "webhook"),
        WebhookVerificationError,
        whsec,
        traits=Traits(judges_age=True),
    ),
    Sender(
        "svix",
        "svix",
        "svix",
        standard_takes(SvixWebhook),
        standard_signs(SvixWebhook, "svix"),
        WebhookVerificationError,
        whsec,
        traits=Traits(judges_age=True),
    ),
    Sender(
        "replicate",
        "replicate",
        "replicate",
        replicate_takes,
        refusal=WebhookValidationError,
        keys=whsec,
        traits=Traits(judges_age=True),
    ),
    Sender(
        "boxsdk",
        "box",
        "box",
        box_takes,
        box_signs,
        traits=Traits(judges_age=True, rotates=False),
    ),
    Sender(
        "gidgethub",
        "github",
        "github",
        lambda public, request: validate_event(
            request.body, signature=header(request, "x-hub-signature-256"), secret=secret_of(public)
        ),
        refusal=ValidationFailure,
        unsigned=SignedRequest("POST", URL, (JSON, *GITHUB), b'{"ref":"refs/heads/4200"}'),
    ),
    Sender(
        "pyairtable",
        "airtable",
        "airtable",
        lambda public, request: WebhookNotification.from_request(
            request.body.decode(), header(request, "x-airtable-content-mac"), secret_of(public)
        ),
        refusal=ValueError,
        keys=lambda: shared(secret_of(whsec().public).removeprefix("whsec_")),
        unsigned=SignedRequest("POST", URL, (JSON,), AIRTABLE),
    ),
    Sender(
        "atlassian-jwt",
        "jira_connect",
        "jira_connect",
        atlassian_takes,
        atlassian_signs,
        jwt.InvalidTokenError,
        unsigned=SignedRequest("POST", f"{URL}?user=a%20b&list=2&list=1&empty=&x=~", (JSON,), b"{}"),
        spoil=with_other_url,
    ),
    Sender(
        "google-auth",
        "google_pubsub",
        "google_oidc",
        google_takes,
        google_signs,
        Exception,
        pair("google_oidc"),
        spoil=with_other_token,
        traits=Traits(rotates=False),
    ),
    Sender(
        "app-store-server-library",
        "apple_appstore",
        "apple_jws",
        apple_takes,
        refusal=VerificationException,
        keys=pair("apple_jws"),
        unsigned=SignedRequest("POST", URL, (JSON,), b'{"notificationType":"TEST","version":"2.0"}'),
        spoil=with_other_payload,
    ),
    Sender("pyjwt", "netlify", "netlify", netlify_takes, netlify_signs, jwt.InvalidTokenError),
)
