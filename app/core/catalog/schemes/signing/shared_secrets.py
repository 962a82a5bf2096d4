"""Signing with a shared secret: the first of the source's secrets, over the text that the verifier makes too."""

import base64
import binascii
import hmac
from hashlib import sha256
from urllib.parse import quote, urlencode

from app.core.catalog.proof import Credentials, SignedRequest
from app.core.catalog.schemes import adyen, box, braintree, contentful, mailgun, recurly, segment, url_and_form
from app.core.catalog.schemes.mac import secrets_of, setting
from app.core.catalog.schemes.reading import FORM, json_object
from app.core.catalog.schemes.signing.written import (
    named,
    rfc3339,
    unix,
    unix_milliseconds,
    with_headers,
    with_json,
)


def twilio(credentials: Credentials, request: SignedRequest, _now: float) -> SignedRequest:
    """Sign URL and form; a body of another kind is named by its hash in the URL's query first."""
    if request.body and not _is_form(request):
        question = "&" if "?" in request.url else "?"
        hashed = f"{question}{url_and_form.BODY_HASH}={sha256(request.body).hexdigest()}"
        request = request._replace(url=request.url + hashed)
    text = request.url.encode() + url_and_form.twilio_fields(request)
    code = _base64(url_and_form.twilio_digest(request), credentials, text)
    return with_headers(request, x_twilio_signature=code)


def mandrill(credentials: Credentials, request: SignedRequest, _now: float) -> SignedRequest:
    """Sign URL and form."""
    text = request.url.encode() + url_and_form.joined(request.body, unique=False)
    return with_headers(request, x_mandrill_signature=_base64("sha1", credentials, text))


def mailgun_signature(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Put time, token and signature into the JSON body or, where it is a form, beside its fields."""
    token = sha256(unix(now) + request.body).hexdigest()[:50].encode()
    signed = mailgun.Signature(unix(now), token, b"")
    code = _hex("sha256", credentials, mailgun.signed_text(signed))
    fields = {"timestamp": unix(now).decode(), "token": token.decode(), "signature": code.decode()}
    if _is_form(request):
        return request._replace(body=b"&".join(filter(None, (request.body, urlencode(fields).encode()))))
    return with_json(request, {**json_object(request.body), "signature": fields})


def adyen_standard(credentials: Credentials, request: SignedRequest, _now: float) -> SignedRequest:
    """Put its signature into each item of a notification."""
    key = adyen.hexadecimal_keys(credentials)[0]
    body = json_object(request.body)
    for item in adyen.items(body):
        code = base64.b64encode(hmac.digest(key, adyen.signed_text(item), "sha256")).decode()
        item["additionalData"] = {**(item.get("additionalData") or {}), "hmacSignature": code}
    return with_json(request, body)


def braintree_form(credentials: Credentials, request: SignedRequest, _now: float) -> SignedRequest:
    """Wrap the body, which is the XML, into the form that Braintree sends."""
    public_key = setting(credentials, "public_key").split()[0]
    payload = binascii.b2a_base64(request.body)
    code = braintree.signature(secrets_of(credentials)[0], payload).decode()
    form = urlencode({"bt_signature": f"{public_key}|{code}", "bt_payload": payload}, quote_via=quote)
    return with_headers(request._replace(body=form.encode()), content_type=FORM.encode())


def contentful_headers(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Sign what `content-type` and Contentful's own headers say, beside method, path and body."""
    own = [name for name, _ in request.headers if name == b"content-type" or name.startswith(b"x-contentful-")]
    names = sorted({*own, contentful.SIGNED_HEADERS, contentful.TIMESTAMP} - {contentful.SIGNATURE})
    stamped = with_headers(
        request, x_contentful_signed_headers=b",".join(names), x_contentful_timestamp=unix_milliseconds(now)
    )
    code = _hex("sha256", credentials, contentful.signed_text(stamped, names))
    return with_headers(stamped, x_contentful_signature=code)


def box_headers(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Sign with each of the keys that are there."""
    timestamp = rfc3339(now).encode()
    signed = with_headers(
        request, box_delivery_timestamp=timestamp, box_signature_algorithm=box.ALGORITHM[1], box_signature_version=b"1"
    )
    for name, key in zip(box.SIGNATURES, credentials.secrets, strict=False):
        if key:
            code = base64.b64encode(hmac.digest(key, request.body + timestamp, "sha256"))
            signed = with_headers(signed, **{name.decode(): code})
    return signed


def recurly_header(credentials: Credentials, request: SignedRequest, now: float) -> SignedRequest:
    """Sign time and body."""
    timestamp = unix_milliseconds(now)
    code = _hex("sha256", credentials, recurly.signed_text(timestamp, request.body))
    return with_headers(request, recurly_signature=timestamp + b"," + code)


def segment_batch(credentials: Credentials, request: SignedRequest, _now: float) -> SignedRequest:
    """Sign the first event."""
    return with_headers(request, x_signature=_hex("sha1", credentials, segment.signed_text(request.body)))


def graph_client_state(credentials: Credentials, request: SignedRequest, _now: float) -> SignedRequest:
    """Put `clientState` into every notification."""
    body = json_object(request.body)
    state = secrets_of(credentials)[0].decode()
    return with_json(request, {**body, "value": [{**item, "clientState": state} for item in body.get("value", [{}])]})


def _is_form(request: SignedRequest) -> bool:
    return named(request, b"content-type", b"").lower().startswith(FORM.encode())


def _base64(digest: str, credentials: Credentials, text: bytes) -> bytes:
    return base64.b64encode(hmac.digest(secrets_of(credentials)[0], text, digest))


def _hex(digest: str, credentials: Credentials, text: bytes) -> bytes:
    return hmac.digest(secrets_of(credentials)[0], text, digest).hex().encode()
