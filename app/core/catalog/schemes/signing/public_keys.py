"""Signing with a private key, for providers whose public key, or its certificate, is known to the source."""

import base64
import json

from cryptography.hazmat.primitives.hashes import SHA256

from app.core.catalog.proof import Credentials, SignedRequest
from app.core.catalog.schemes import aws_sns, ebay, ed25519_schemes, paypal, static_keys
from app.core.catalog.schemes.mac import setting
from app.core.catalog.schemes.reading import json_object
from app.core.catalog.schemes.signing.private_keys import signature
from app.core.catalog.schemes.signing.written import (
    made_up_id,
    named,
    rfc3339,
    unix,
    with_headers,
    with_json,
)

SNS_CERTIFICATE = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
PAYPAL_CERTIFICATE = b"https://api.sandbox.paypal.com/v1/notifications/certs/CERT-0123456789abcdef"


def discord(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Sign time and body."""
    code = signature(credentials, ed25519_schemes.discord_text(unix(now), request.body)).hex().encode()
    return with_headers(request, x_signature_ed25519=code, x_signature_timestamp=unix(now))


def standardwebhooks_v1a(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Sign id, time and body; the id is the one of the request's header, where it has one."""
    message_id = named(request, b"webhook-id", made_up_id(request))
    code = signature(credentials, ed25519_schemes.standard_text(message_id, unix(now), request.body))
    return with_headers(
        request,
        webhook_id=message_id,
        webhook_timestamp=unix(now),
        webhook_signature=b"v1a," + base64.b64encode(code),
    )


def fal(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Sign ids, time and the body's hash."""
    request_id, user_id, timestamp = ed25519_schemes.FAL_SIGNED
    values = [named(request, request_id, made_up_id(request)), named(request, user_id, b"user"), unix(now)]
    code = signature(credentials, ed25519_schemes.fal_text(values, request.body)).hex().encode()
    names = (name.decode() for name in (request_id, user_id, timestamp))
    return with_headers(request, **dict(zip(names, values, strict=True)), x_fal_webhook_signature=code)


def sendgrid(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Sign time and body."""
    code = base64.b64encode(signature(credentials, static_keys.sendgrid_text(unix(now), request.body)))
    return with_headers(
        request, x_twilio_email_event_webhook_signature=code, x_twilio_email_event_webhook_timestamp=unix(now)
    )


def wise(credentials: Credentials, request: SignedRequest, _now: float) -> SignedRequest:
    """Sign the body."""
    return with_headers(request, x_signature_sha256=base64.b64encode(signature(credentials, request.body)))


def kick(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Sign id, time and body."""
    message_id, timestamp = named(request, static_keys.KICK[0], made_up_id(request)), rfc3339(now).encode()
    code = base64.b64encode(signature(credentials, static_keys.kick_text(message_id, timestamp, request.body)))
    return with_headers(
        request,
        kick_event_message_id=message_id,
        kick_event_message_timestamp=timestamp,
        kick_event_signature=code,
    )


def ebay_header(credentials: Credentials, request: SignedRequest, _now: float) -> SignedRequest:
    """Sign the body, and name the key by the setting `kid`."""
    code = base64.b64encode(signature(credentials, request.body, ebay.DIGEST)).decode()
    fields = {"alg": "ecdsa", "kid": setting(credentials, "kid"), "signature": code, "digest": "SHA1"}
    return with_headers(request, x_ebay_signature=base64.b64encode(json.dumps(fields).encode()))


def sns(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Put time, the certificate's address and the signature (version 2) into the message."""
    message = json_object(request.body)
    message |= {"Timestamp": rfc3339(now), "SignatureVersion": "2", "SigningCertURL": SNS_CERTIFICATE}
    code = signature(credentials, aws_sns.signed_text(message), SHA256())
    return with_json(request, {**message, "Signature": base64.b64encode(code).decode()})


def paypal_headers(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Sign id, time, the setting `webhook_id` and the body's CRC-32."""
    transmission_id, time = named(request, paypal.TRANSMISSION_ID, made_up_id(request)), rfc3339(now).encode()
    signed = paypal.signed_text(transmission_id, time, setting(credentials, "webhook_id").encode(), request.body)
    return with_headers(
        request,
        paypal_transmission_id=transmission_id,
        paypal_transmission_time=time,
        paypal_transmission_sig=base64.b64encode(signature(credentials, signed)),
        paypal_auth_algo=b"SHA256withRSA",
        paypal_cert_url=PAYPAL_CERTIFICATE,
    )
