"""Libraries of those who move money."""

import json
import secrets
import warnings
from urllib.parse import parse_qs, urlencode

import stripe
from Adyen import util as adyen
from easypost import util as easypost
from easypost.errors import SignatureVerificationError as EasyPostRefusal
from gocardless_pro import webhooks as gocardless
from gocardless_pro.errors import InvalidSignatureError as GoCardlessRefusal
from paddle_billing.Notifications import PaddleSignature, Secret, Verifier
from razorpay import Utility
from razorpay.errors import SignatureVerificationError as RazorpayRefusal

from app.core.catalog.proof import Credentials, SignedRequest
from app.core.catalog.schemes.signing.generated import GeneratedKey
from tests.senders.parts import header, http, secret_of, with_headers
from tests.senders.sender import FORM, JSON, URL, Sender, Traits, shared

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Use .* instead", DeprecationWarning)
    import braintree
    from braintree.exceptions.invalid_signature_error import InvalidSignatureError as BraintreeRefusal

PAYOUT = b'{"events":[{"id":"EV1","resource_type":"payments","action":"paid_out","amount":4200}],"meta":{}}'
NOTIFICATION = {
    "live": "false",
    "notificationItems": [
        {
            "NotificationRequestItem": {
                "pspReference": "7914073381342284",
                "merchantAccountCode": "TestMerchant",
                "merchantReference": "Straße:1\\2",
                "amount": {"value": 4200, "currency": "EUR"},
                "eventCode": "AUTHORISATION",
                "success": "true",
            }
        }
    ],
}
CHECK = (
    b'<notification><timestamp type="datetime">2026-01-02T03:04:05Z</timestamp><kind>check</kind>'
    b'<subject><check type="boolean">true</check></subject></notification>'
)


def stripe_signs(private: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    signed = stripe.WebhookSignature.generate_signature_header(request.body.decode(), secret_of(private), int(now))
    return with_headers(request, {"Stripe-Signature": signed})


def stripe_takes(public: Credentials, request: SignedRequest) -> object:
    tolerance = stripe.Webhook.DEFAULT_TOLERANCE
    given = header(request, "stripe-signature")
    return stripe.WebhookSignature.verify_header(request.body, given, secret_of(public), tolerance)


def paddle_signs(private: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    code = PaddleSignature.calculate_hmac(secret_of(private), b"%d:%s" % (now, request.body)).hexdigest()
    return with_headers(request, {"Paddle-Signature": f"ts={int(now)};h1={code}"})


def adyen_signs_items(private: Credentials, request: SignedRequest, _now: float) -> SignedRequest:
    notification = json.loads(request.body)
    for each in notification["notificationItems"]:
        item = each["NotificationRequestItem"]
        item["additionalData"] = {"hmacSignature": adyen.generate_notification_sig(item, secret_of(private)).decode()}
    return request._replace(body=json.dumps(notification).encode())


def adyen_signs_the_body(private: Credentials, request: SignedRequest, _now: float) -> SignedRequest:
    return with_headers(
        request, {"HmacSignature": adyen.generate_payload_sig(request.body, secret_of(private)).decode()}
    )


def braintree_of(credentials: Credentials) -> braintree.BraintreeGateway:
    public_key, private_key = credentials.settings["public_key"], secret_of(credentials)
    return braintree.BraintreeGateway(
        braintree.Configuration(braintree.Environment.Sandbox, "merchant", public_key, private_key)
    )


def braintree_keys() -> GeneratedKey:
    return shared(secrets.token_hex(16), public_key=secrets.token_hex(8))


def braintree_signs(private: Credentials, request: SignedRequest, _now: float) -> SignedRequest:
    """Its test gateway makes a notification of its own, at its own time."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"datetime\.datetime\.utcnow", DeprecationWarning)
        sample = braintree_of(private).webhook_testing.sample_notification("subscription_went_active", "sub-1")
    return request._replace(headers=(FORM,), body=urlencode(sample).encode())


def braintree_takes(public: Credentials, request: SignedRequest) -> object:
    fields = parse_qs(request.body.decode())
    return braintree_of(public).webhook_notification.parse(fields["bt_signature"][0], fields["bt_payload"][0])


def with_other_payload(request: SignedRequest) -> SignedRequest:
    start = request.body.index(b"bt_payload=") + 20
    letter = b"A" if request.body[start : start + 1] != b"A" else b"B"
    return request._replace(body=request.body[:start] + letter + request.body[start + 1 :])


SENDERS = (
    Sender(
        "stripe",
        "stripe",
        "stripe",
        stripe_takes,
        stripe_signs,
        stripe.SignatureVerificationError,
        traits=Traits(judges_age=True),
    ),
    Sender(
        "paddle-python-sdk",
        "paddle",
        "paddle",
        lambda public, request: Verifier().verify(http(request), Secret(secret_of(public))),
        paddle_signs,
        traits=Traits(judges_age=True),
    ),
    Sender(
        "adyen",
        "adyen",
        "adyen_standard",
        lambda public, request: adyen.is_valid_hmac_notification(json.loads(request.body), secret_of(public)),
        adyen_signs_items,
        unsigned=SignedRequest("POST", URL, (JSON,), json.dumps(NOTIFICATION).encode()),
        variant="items",
    ),
    Sender(
        "adyen",
        "adyen",
        "adyen_platform",
        lambda public, request: adyen.is_valid_hmac_payload(
            header(request, "hmacsignature"), secret_of(public), request.body
        ),
        adyen_signs_the_body,
        variant="body",
    ),
    Sender(
        "braintree",
        "braintree",
        "braintree",
        braintree_takes,
        braintree_signs,
        BraintreeRefusal,
        braintree_keys,
        SignedRequest("POST", URL, (FORM,), CHECK),
        with_other_payload,
        Traits(rotates=False),
    ),
    Sender(
        "razorpay",
        "razorpay",
        "razorpay",
        lambda public, request: Utility().verify_webhook_signature(
            request.body.decode(), header(request, "x-razorpay-signature"), secret_of(public)
        ),
        refusal=RazorpayRefusal,
    ),
    Sender(
        "gocardless-pro",
        "gocardless",
        "gocardless",
        lambda public, request: gocardless.parse(request.body, secret_of(public), header(request, "webhook-signature")),
        refusal=GoCardlessRefusal,
        unsigned=SignedRequest("POST", URL, (JSON,), PAYOUT),
    ),
    Sender(
        "easypost",
        "easypost",
        "easypost",
        lambda public, request: easypost.validate_webhook(request.body, http(request).headers, secret_of(public)),
        refusal=EasyPostRefusal,
        keys=lambda: shared(f"sécret-ﬁ-{secrets.token_hex(8)}"),
    ),
)
