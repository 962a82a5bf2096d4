"""What is peculiar to the schemes that write a text of their own before they sign."""

import base64
import hmac
import json
from operator import itemgetter
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.catalog.proof import Credentials, Freshness, Genuine, NotGenuine, SignedRequest
from app.core.catalog.schemes import SCHEMES, box, contentful, segment, url_and_form
from app.core.catalog.schemes.signing import SIGNERS
from tests.unit.catalog.fuzzed import fuzzed
from tests.unit.catalog.samples import (
    FORM,
    JSON,
    NOW,
    SECRET,
    TOLERANCE,
    both_sides,
    signed,
    unsigned,
    verdict,
    with_json,
)


def code(scheme: str, request: SignedRequest, credentials: Credentials | None = None, now: float | None = NOW) -> str:
    outcome = verdict(scheme, request, credentials=credentials, now=now)
    return outcome.code if isinstance(outcome, NotGenuine) else "genuine"


def with_header(request: SignedRequest, name: bytes, value: bytes) -> SignedRequest:
    return request._replace(headers=tuple((n, value if n == name else v) for n, v in request.headers))


def test_twilio_names_a_body_of_json_by_its_hash_in_the_url() -> None:
    request = SIGNERS["twilio"](
        Credentials((SECRET,)), SignedRequest("POST", "https://a.example/in", (JSON,), b"{}"), NOW
    )
    assert "?bodySHA256=" in request.url
    assert code("twilio", request) == "genuine"
    assert code("twilio", request._replace(body=b"{ }")) == "signature_mismatch"


def test_twilio_may_sign_with_a_shared_key_and_the_digest_that_it_names() -> None:
    named = (url_and_form.TWILIO_SETTINGS, b"key=webhooks_sharedkey_1, algorithm=HMAC_SHA256")
    request = SIGNERS["twilio"](
        Credentials((SECRET,)), SignedRequest("POST", "https://a.example/in", (FORM, named), b"a=1"), NOW
    )
    assert verdict("twilio", request, credentials=Credentials((b"auth token", SECRET))) == Genuine("hmac-sha256#2", 2)
    assert code("twilio", with_header(request, named[0], b"key=x")) == "signature_mismatch"
    assert code("twilio", with_header(request, named[0], b"algorithm=HMAC_MD5")) == "algorithm_refused"


def test_a_body_cannot_be_slipped_in_beside_the_signature_of_a_url() -> None:
    """The signature of a request by GET must not count for a POST with whatever body."""
    request = SIGNERS["twilio"](Credentials((SECRET,)), SignedRequest("GET", "https://a.example/in?x=1", (), b""), NOW)
    assert code("twilio", request) == "genuine"
    for body in (b'{"a":1}', b"a=1", b"<x/>", b"\xff"):
        assert code("twilio", request._replace(method="POST", body=body, headers=(*request.headers, JSON))) != "genuine"


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("https://a.example/x?y#z", "https://a.example:443/x?y#z"),
        ("http://a.example", "http://a.example:80"),
        ("https://u:p@a.example:8443/", "https://u:p@a.example/"),
        ("HTTPS://a.example/", "HTTPS://a.example:443/"),
    ],
)
def test_twilio_may_have_signed_the_url_with_its_port_or_without(url: str, other: str) -> None:
    assert url_and_form.with_other_port(url) == other
    request = SIGNERS["twilio"](Credentials((SECRET,)), SignedRequest("POST", other, (FORM,), b"a=1"), NOW)
    assert code("twilio", request._replace(url=url)) == "genuine"


def test_the_fields_of_a_form_are_signed_as_they_are_meant() -> None:
    body = b"b=2&a=%C3%BC+%2B&a=0&a=0&c&=x&&d=1=2"
    assert url_and_form.joined(body, unique=True) == "xa0aü +b2cd1=2".encode()
    assert url_and_form.joined(body, unique=False) == "xaü +a0a0b2cd1=2".encode()


PIECES = [b"a", b"ab", b"=", b"&", b"+", b"%", b"%3D", b"%26", b"%00", b"%c3%bc", b"%4", b"\r", b"\n", b"\0", b"\xf4"]


def field_by_field(body: bytes, *, unique: bool) -> bytes:
    pairs = [
        (unquote_to_bytes(name.replace(b"+", b" ")), unquote_to_bytes(value.replace(b"+", b" ")))
        for name, _, value in (field.partition(b"=") for field in body.split(b"&") if field)
    ]
    ordered = sorted(set(pairs)) if unique else sorted(pairs, key=itemgetter(0))
    return b"".join(name + value for name, value in ordered)


@fuzzed(usually=200)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join), st.booleans())
def test_a_form_is_joined_as_if_it_were_read_field_by_field(body: bytes, unique: bool) -> None:
    assert url_and_form.joined(body, unique=unique) == field_by_field(body, unique=unique)


@pytest.mark.parametrize("body", [b"a=\xff", b"a=%ff", b"a\xfe1", b"%FE=", b"&" * 1_001, b"a=%\rb&%\xff"])
def test_what_is_no_form_of_unicode_texts_is_refused(body: bytes) -> None:
    for scheme, header in (("twilio", url_and_form.TWILIO_HEADER), ("mandrill", url_and_form.MANDRILL_HEADER)):
        headers = (FORM, (header, b"AAAA"))
        assert code(scheme, SignedRequest("POST", "https://a.example/in", headers, body)) == "signature_malformed"


def test_without_a_public_url_nothing_that_signs_it_can_be_proved() -> None:
    for scheme in ("twilio", "mandrill", "contentful", "jira_connect"):
        assert code(scheme, signed(scheme)._replace(url="")) == "url_unknown"


def test_no_digit_moves_from_mailguns_token_to_its_time() -> None:
    body = json.loads(signed("mailgun").body)
    told = body["signature"]
    moved = {**told, "timestamp": told["timestamp"] + told["token"][0], "token": told["token"][1:]}
    assert code("mailgun", with_json(signed("mailgun"), signature=moved), now=None) == "timestamp_malformed"


def test_mailguns_older_routes_send_a_form() -> None:
    request = SIGNERS["mailgun"](Credentials((SECRET,)), SignedRequest("POST", "", (FORM,), b"event=opened"), NOW)
    assert request.body.startswith(b"event=opened&timestamp=1700000000&token=")
    assert code("mailgun", request) == "genuine"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"notificationItems": []}, "signature_missing"),
        ({"notificationItems": [{}]}, "signature_malformed"),
        ({"notificationItems": "x"}, "signature_missing"),
        ({"notificationItems": [{"NotificationRequestItem": {}}]}, "signature_malformed"),
        ({"notificationItems": [{"NotificationRequestItem": {"amount": {}}}]}, "signature_missing"),
        ({"notificationItems": [{}] * 1_001}, "signature_missing"),
    ],
)
def test_a_notification_of_adyen_needs_items_that_are_signed(body: dict[str, Any], expected: str) -> None:
    assert code("adyen_standard", SignedRequest("POST", "", (), json.dumps(body).encode())) == expected


def test_one_item_of_adyen_that_is_not_genuine_spoils_them_all() -> None:
    body = json.loads(signed("adyen_standard").body)
    body["notificationItems"][1]["NotificationRequestItem"]["amount"]["value"] = 1
    assert code("adyen_standard", with_json(signed("adyen_standard"), **body)) == "signature_mismatch"


def test_braintree_has_a_private_key_for_each_public_one() -> None:
    both = Credentials((b"new private", SECRET), {"public_key": "new public"})
    outcome = verdict("braintree", signed("braintree"), credentials=both)
    assert outcome == verdict("braintree", signed("braintree"), credentials=both)
    assert getattr(outcome, "matched_secret", 0) == 2
    with pytest.raises(ValueError, match="one public_key for each secret"):
        SCHEMES["braintree"](Credentials((SECRET,), {"public_key": "a b"}), Freshness())
    unknown = Credentials((SECRET,), {"public_key": "other"})
    assert code("braintree", signed("braintree"), unknown) == "key_unknown"


def test_contentful_must_have_signed_the_time_and_the_list_itself() -> None:
    request = signed("contentful")
    for names in (b"content-type", b"content-type,x-contentful-timestamp", b",".join([b"x-contentful-timestamp"] * 65)):
        assert code("contentful", with_header(request, contentful.SIGNED_HEADERS, names)) == "signature_malformed"


def test_contentful_escapes_the_query_twice() -> None:
    assert contentful.signed_path("https://a.example/ä b?a=1&b=ü") == "/%C3%A4%20b?a%253D1%2526b%253D%25C3%25BC"
    assert contentful.signed_path("https://a.example") == "/"


def test_either_key_of_box_is_enough() -> None:
    primary, secondary = both_sides("box")[1].secrets
    assert verdict("box", signed("box"), credentials=Credentials((b"", secondary))) == verdict(
        "box", signed("box"), credentials=Credentials((b"new", secondary))
    )
    assert code("box", signed("box"), Credentials((primary, b""))) == "genuine"
    # The primary signature is not made with the secondary key.
    assert code("box", signed("box"), Credentials((secondary, primary))) == "signature_mismatch"


def test_box_sends_nothing_from_the_future() -> None:
    assert code("box", signed("box", now=NOW + 1)) == "timestamp_in_the_future"
    lenient = Freshness(TOLERANCE.tolerance_seconds, past_only=True)
    assert not isinstance(verdict("box", signed("box", now=NOW + 1), freshness=lenient), NotGenuine)


def test_box_may_have_signed_the_body_as_it_is_escaped_in_json() -> None:
    body, timestamp = '{"name":"Straße 😀\\/\\n"}'.encode(), b"2023-11-14T22:13:20Z"
    escaped = b'{"name":"Stra\\u00dfe \\ud83d\\ude00\\/\\\\n"}'
    assert box.escaped(body) == escaped
    signature = base64.b64encode(hmac.digest(SECRET, escaped + timestamp, "sha256"))
    request = signed("box", body)
    request = with_header(with_header(request, box.TIMESTAMP, timestamp), box.SIGNATURES[0], signature)
    assert code("box", request, Credentials((SECRET,))) == "genuine"


def test_recurly_sends_a_code_for_each_of_its_secrets() -> None:
    timestamp, good = signed("recurly").values(b"recurly-signature")[0].split(b",")
    request = signed("recurly")
    several = b",".join((timestamp, b"00" * 32, good))
    assert code("recurly", with_header(request, b"recurly-signature", several)) == "genuine"
    for bad in (timestamp, b",".join([timestamp] + [good] * 11), timestamp + b",zz"):
        assert code("recurly", with_header(request, b"recurly-signature", bad)) == "signature_malformed"


@pytest.mark.parametrize("body", [b'[{"a": 1}, 2]', b' [\n {"a": 1}]', b'\xef\xbb\xbf[{"a": 1}]'])
def test_the_first_event_of_segment_is_cut_out_as_it_stands(body: bytes) -> None:
    assert segment.signed_text(body) == b'{"a": 1}'


@pytest.mark.parametrize("body", [b"[]", b"[1]", b"1", b"", b"[" * 100])
def test_a_batch_of_segment_without_events_is_refused(body: bytes) -> None:
    request = unsigned("segment_batch", body)
    request = request._replace(headers=((segment.SIGNATURE, b"00" * 20),))
    assert code("segment_batch", request) == "signature_malformed"
