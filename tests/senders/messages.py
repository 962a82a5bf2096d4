"""Libraries of those who carry messages."""

from urllib.parse import parse_qsl

import resend
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from discord_interactions import verify_key
from linebot.v3.webhook import SignatureValidator
from multidict import MultiDict
from nacl.signing import SigningKey
from sendgrid.helpers.eventwebhook import EventWebhook
from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import SIGNATURE_SETTINGS_HEADER, RequestValidator, get_signature_algorithm
from vonage_jwt import verify_signature

from app.core.catalog.proof import Credentials, SignedRequest
from app.core.catalog.schemes.signing.private_keys import private_key
from tests.senders.parts import header, http, secret_of, with_headers, with_other_token
from tests.senders.sender import FORM, URL, Sender, Traits, pair, whsec

SMS = b"From=%2B14158675309&Body=Stra%C3%9Fe+4200&NumMedia=0&MediaUrl=&Digit=2&Digit=1&Digit=1&A=1&AB=2"
SHARED_KEY = (SIGNATURE_SETTINGS_HEADER.lower().encode(), b"key=webhooks_sharedkey_1,algorithm=HMAC_SHA256")


def slack_signs(private: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    stamp = str(int(now))
    signed = SignatureVerifier(secret_of(private)).generate_signature(timestamp=stamp, body=request.body)
    return with_headers(request, {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": signed or ""})


def fields_of(request: SignedRequest) -> MultiDict[str]:
    return MultiDict(parse_qsl(request.body.decode(), keep_blank_values=True))


def twilio_digest(request: SignedRequest) -> str:
    return str(get_signature_algorithm(http(request).headers.get(SIGNATURE_SETTINGS_HEADER)))


def twilio_signs_a_form(private: Credentials, request: SignedRequest, _now: float) -> SignedRequest:
    signed = RequestValidator(secret_of(private)).compute_signature(
        request.url, fields_of(request), twilio_digest(request)
    )
    return with_headers(request, {"X-Twilio-Signature": signed})


def twilio_takes_a_form(public: Credentials, request: SignedRequest) -> object:
    given = header(request, "x-twilio-signature")
    validator = RequestValidator(secret_of(public))
    return validator.validate(request.url, fields_of(request), given, twilio_digest(request))


def twilio_signs_json(private: Credentials, request: SignedRequest, _now: float) -> SignedRequest:
    validator = RequestValidator(secret_of(private))
    hashed = request._replace(url=f"{request.url}?bodySHA256={validator.compute_hash(request.body.decode())}")
    return with_headers(hashed, {"X-Twilio-Signature": validator.compute_signature(hashed.url, {})})


def twilio_takes_json(public: Credentials, request: SignedRequest) -> object:
    given = header(request, "x-twilio-signature")
    return RequestValidator(secret_of(public)).validate(request.url, request.body.decode(), given)


def discord_signs(private: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """PyNaCl signs, which Discord's own page takes for this."""
    stamp = str(int(now))
    key = private_key(private)
    assert isinstance(key, Ed25519PrivateKey)
    signed = SigningKey(key.private_bytes_raw()).sign(stamp.encode() + request.body)
    return with_headers(request, {"X-Signature-Ed25519": signed.signature.hex(), "X-Signature-Timestamp": stamp})


def discord_takes(public: Credentials, request: SignedRequest) -> object:
    given, stamp = header(request, "x-signature-ed25519"), header(request, "x-signature-timestamp")
    return verify_key(request.body, given, stamp, secret_of(public))


def sendgrid_takes(public: Credentials, request: SignedRequest) -> object:
    name = "x-twilio-email-event-webhook-"
    given, stamp = header(request, f"{name}signature"), header(request, f"{name}timestamp")
    return EventWebhook(secret_of(public)).verify_signature(request.body.decode(), given, stamp)


def resend_takes(public: Credentials, request: SignedRequest) -> object:
    headers = {name: header(request, f"svix-{name}") for name in ("id", "timestamp", "signature")}
    return resend.Webhooks.verify(
        {"payload": request.body.decode(), "headers": headers, "webhook_secret": secret_of(public)}
    )


SENDERS = (
    Sender(
        "slack-sdk",
        "slack",
        "slack",
        lambda public, request: SignatureVerifier(secret_of(public)).is_valid_request(
            request.body, http(request).headers
        ),
        slack_signs,
        traits=Traits(judges_age=True),
    ),
    Sender(
        "twilio",
        "twilio",
        "twilio",
        twilio_takes_a_form,
        twilio_signs_a_form,
        unsigned=SignedRequest("POST", f"{URL}?a=%20b", (FORM,), SMS),
    ),
    Sender(
        "twilio",
        "twilio",
        "twilio",
        twilio_takes_a_form,
        twilio_signs_a_form,
        unsigned=SignedRequest("POST", URL, (FORM, SHARED_KEY), SMS),
        variant="shared key",
    ),
    Sender("twilio", "twilio", "twilio", twilio_takes_json, twilio_signs_json, variant="JSON"),
    Sender("discord-interactions", "discord", "discord", discord_takes, discord_signs, keys=pair("discord")),
    Sender(
        "line-bot-sdk",
        "line",
        "line",
        lambda public, request: SignatureValidator(secret_of(public)).validate(
            request.body.decode(), header(request, "x-line-signature")
        ),
    ),
    Sender("sendgrid", "sendgrid", "sendgrid", sendgrid_takes, keys=pair("sendgrid")),
    Sender("resend", "resend", "resend", resend_takes, refusal=ValueError, keys=whsec, traits=Traits(judges_age=True)),
    Sender(
        "vonage-jwt",
        "vonage",
        "vonage",
        lambda public, request: verify_signature(header(request, "authorization").split()[1], secret_of(public)),
        spoil=with_other_token,
    ),
)
