"""For each scheme with code: credentials of both sides, a request to sign, and what of it the signature covers."""

import functools
import json
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from app.core.catalog.proof import Credentials, Freshness, SignedRequest, Verdict
from app.core.catalog.schemes import (
    SCHEMES,
    adyen,
    aws_sns,
    contentful,
    jira_connect,
    jws,
    mailgun,
    segment,
    url_and_form,
    wechat,
)
from app.core.catalog.schemes.reading import form, json_object
from app.core.catalog.schemes.signing import GENERATORS, SIGNERS, generate_key

NOW = 1_700_000_000.0
TOLERANCE = Freshness(300.0)
URL = "https://hooks.example.com/in/box?one=1&two=2"
FORM = (b"content-type", b"application/x-www-form-urlencoded")
JSON = (b"content-type", b"application/json")
EVENT = b'{"id":"evt_1","type":"thing.happened"}'
SECRET = b"a secret of good length for HMAC"

Covered = Callable[[SignedRequest], Hashable]


def raw(request: SignedRequest) -> Hashable:
    return request.body


def nothing(_request: SignedRequest) -> Hashable:
    return None


class Sample(NamedTuple):
    """A request of a scheme before it is signed."""

    body: bytes = EVENT
    covered: Covered = raw
    """What of body, URL and method the signature covers: two requests that agree in it are the same to the scheme."""
    signed_headers: tuple[bytes, ...] = ()
    """Those beside the signature's own that are covered."""
    fixed_body: bool = False
    """The scheme reads the body, so not just any will do."""
    credentials: Credentials = Credentials((SECRET,))
    """Of a scheme with a shared secret: both sides have the same."""
    headers: tuple[tuple[bytes, bytes], ...] = (JSON,)


def items_of(request: SignedRequest) -> Hashable:
    return tuple(adyen.signed_text(item) for item in adyen.items(json_object(request.body)))


def token_of(request: SignedRequest) -> Hashable:
    return jws.parse(request.body, "RS256").signed


def payload_of(request: SignedRequest) -> Hashable:
    return jws.parse(json_object(request.body)["signedPayload"].encode(), "ES256").signed


def contentful_text(request: SignedRequest) -> Hashable:
    return request.method, contentful.signed_path(request.url), request.body


ADYEN_ITEM = {
    "NotificationRequestItem": {
        "pspReference": "7914073381342284",
        "merchantAccountCode": "TestMerchant",
        "merchantReference": "Ünïcode:and\\colon",
        "amount": {"value": 1130, "currency": "EUR"},
        "eventCode": "AUTHORISATION",
        "success": "true",
        "reason": "not signed",
    }
}
SNS_MESSAGE = {
    "Type": "Notification",
    "MessageId": "17dea24b-55c2-540b-8362-f916557af765",
    "TopicArn": "arn:aws:sns:us-east-2:295079676684:topic",
    "Message": "Hello\nwörld",
}
PHONES = b"CallSid=CA1&From=%2B14158675309&To=%2B18005551212&Digits=1&Digits=1&Empty=&Name=a+b"

SAMPLES: dict[str, Sample] = {
    "adyen_standard": Sample(
        json.dumps({"live": "false", "notificationItems": [ADYEN_ITEM, ADYEN_ITEM]}).encode(),
        items_of,
        fixed_body=True,
        credentials=Credentials((b"0123456789" * 6 + b"0123",)),
    ),
    "apple_jws": Sample(b'{"notificationType":"TEST"}', payload_of, fixed_body=True),
    "box": Sample(
        signed_headers=(b"box-delivery-timestamp",), credentials=Credentials((SECRET, b"the secondary key of the two"))
    ),
    "braintree": Sample(
        b"<notification><timestamp type='datetime'>2023-11-14T22:13:20Z</timestamp></notification>",
        lambda request: str(form(request.body)["bt_payload"]),
        fixed_body=True,
        credentials=Credentials((SECRET,), {"public_key": "public"}),
    ),
    "contentful": Sample(
        covered=contentful_text, signed_headers=(b"content-type", b"x-contentful-topic", b"x-contentful-timestamp")
    ),
    "discord": Sample(signed_headers=(b"x-signature-timestamp",)),
    "ebay": Sample(),
    "fal": Sample(
        signed_headers=(b"x-fal-webhook-request-id", b"x-fal-webhook-user-id", b"x-fal-webhook-timestamp"),
    ),
    "fusionauth": Sample(),
    "google_chat": Sample(covered=nothing),
    "google_oidc": Sample(covered=nothing),
    "graph_client_state": Sample(
        b'{"value":[{"resource":"a"},{"resource":"b"}]}',
        lambda request: tuple(item["clientState"] for item in json_object(request.body)["value"]),
        fixed_body=True,
    ),
    "jira_connect": Sample(covered=lambda request: jira_connect.query_hash(request, "")),
    "kick": Sample(signed_headers=(b"kick-event-message-id", b"kick-event-message-timestamp")),
    "mailgun": Sample(covered=lambda request: mailgun.signed_text(mailgun.read_signature(request)), fixed_body=True),
    "mandrill": Sample(
        b"mandrill_events=%5B%7B%22event%22%3A%22open%22%7D%5D&x=%C3%BC",
        lambda request: (request.url, url_and_form.joined(request.body, unique=False)),
        fixed_body=True,
        headers=(FORM,),
    ),
    "monday": Sample(covered=nothing),
    "netlify": Sample(),
    "paypal": Sample(signed_headers=(b"paypal-transmission-id", b"paypal-transmission-time")),
    "plaid": Sample(),
    "recurly": Sample(),
    "segment_batch": Sample(
        b'[ {"messageId": "1", "x": "\xc3\xbc"}, {"messageId":"2"}]',
        lambda request: segment.signed_text(request.body),
        fixed_body=True,
    ),
    "sendgrid": Sample(signed_headers=(b"x-twilio-email-event-webhook-timestamp",)),
    "sns": Sample(
        json.dumps(SNS_MESSAGE).encode(),
        lambda request: aws_sns.signed_text(json_object(request.body)),
        fixed_body=True,
    ),
    "standardwebhooks_v1a": Sample(signed_headers=(b"webhook-id", b"webhook-timestamp")),
    "twilio": Sample(
        PHONES,
        lambda request: (request.url, url_and_form.twilio_fields(request)),
        fixed_body=True,
        headers=(FORM,),
    ),
    "vonage": Sample(),
    "wechat": Sample(covered=lambda request: wechat.parts(request)[1:]),
    "wise": Sample(),
    "wix": Sample(b'{"data":"{}"}', token_of, fixed_body=True),
}

NAMES = sorted(SAMPLES)
SHARED = sorted(set(SAMPLES) - set(GENERATORS))


@functools.cache
def both_sides(scheme: str) -> tuple[Credentials, Credentials]:
    """What signs, and what verifies; keys are made once for all tests."""
    if scheme in GENERATORS:
        return generate_key(scheme)
    return SAMPLES[scheme].credentials, SAMPLES[scheme].credentials


def unsigned(scheme: str, body: bytes | None = None) -> SignedRequest:
    sample = SAMPLES[scheme]
    headers = (*sample.headers, *((name, b"chosen") for name in sample.signed_headers if name == b"x-contentful-topic"))
    return SignedRequest("POST", URL, headers, sample.body if body is None else body)


@functools.lru_cache(64)
def signed(scheme: str, body: bytes | None = None, now: float = NOW) -> SignedRequest:
    return SIGNERS[scheme](both_sides(scheme)[0], unsigned(scheme, body), now)


def verdict(
    scheme: str,
    request: SignedRequest,
    *,
    credentials: Credentials | None = None,
    now: float | None = NOW,
    freshness: Freshness = TOLERANCE,
) -> Verdict:
    return SCHEMES[scheme](credentials or both_sides(scheme)[1], freshness)(request, now)


def with_json(request: SignedRequest, **changes: Any) -> SignedRequest:
    return request._replace(body=json.dumps({**json_object(request.body), **changes}).encode())
