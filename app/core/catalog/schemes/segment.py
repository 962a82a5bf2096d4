"""Segment's batches: only the first event of the list is signed, the others are not covered.

https://segment.com/docs/connections/destinations/catalog/webhooks/#authentication
"""

import json

from app.core.catalog.proof import Credentials, Freshness, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.mac import matching, required, secrets_of
from app.core.catalog.schemes.reading import header, json_value, unhex
from app.core.catalog.schemes.refused import Refused, proved, refusing

SIGNATURE = b"x-signature"


def prepare(credentials: Credentials, _freshness: Freshness) -> Verifier:
    """HMAC-SHA1 in hexadecimal over the first event as it stands in the list, or over a body that is no list."""
    secrets = secrets_of(credentials)

    def verify(request: SignedRequest, _now: float | None) -> Verdict:
        given = unhex(header(request, SIGNATURE), "x-signature")
        number = matching(secrets, "sha1", [signed_text(request.body)], [given])
        required(number, len(secrets), "x-signature", "the first event")
        return proved("hmac-sha1", number)

    return refusing(verify)


def signed_text(body: bytes) -> bytes:
    """Cut the first event out of the list, byte for byte: written anew it might not be the same."""
    value = json_value(body)
    if isinstance(value, dict):
        return body
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        raise Refused("signature_malformed", "the body is neither an event nor a list of events")
    text = body.decode("utf-8-sig")
    from_first = text[text.index("[") + 1 :].lstrip()
    _, end = json.JSONDecoder().raw_decode(from_first)
    return from_first[:end].encode()
