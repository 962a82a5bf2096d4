"""Mailgun signs a time and a random token, and nothing of the event: the body beside them is not covered.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
"""

import re
from typing import Any, NamedTuple

from app.core.catalog.proof import Credentials, Freshness, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.mac import matching, required, secrets_of
from app.core.catalog.schemes.reading import FORM, form, json_object, optional_header, text, unhex
from app.core.catalog.schemes.refused import Refused, proved, refuse_if, refusing
from app.core.catalog.timestamps import judge, seconds

# Ten digits reach to the year 2286. With a free length, a digit could be moved from the token to the time.
_TIMESTAMP = re.compile(rb"[0-9]{10}")


class Signature(NamedTuple):
    """The three texts, wherever in the body they stand."""

    timestamp: bytes
    token: bytes
    signature: bytes


def prepare(credentials: Credentials, freshness: Freshness) -> Verifier:
    """HMAC-SHA256 over timestamp and token, in hexadecimal."""
    secrets = secrets_of(credentials)

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        signed = read_signature(request)
        if not _TIMESTAMP.fullmatch(signed.timestamp):
            raise Refused("timestamp_malformed", "timestamp in the body is not ten digits")
        given = unhex(signed.signature, "signature in the body")
        number = matching(secrets, "sha256", [signed_text(signed)], [given])
        required(number, len(secrets), "signature in the body", "timestamp and token")
        refuse_if(judge(freshness, now, "timestamp in the body", seconds, signed.timestamp))
        return proved("hmac-sha256", number)

    return refusing(verify)


def read_signature(request: SignedRequest) -> Signature:
    """Find the three texts: within `signature` of a JSON body, or as fields of the form that older routes send."""
    fields: dict[str, Any]
    if optional_header(request, b"content-type").lower().startswith(FORM.encode()):
        fields = form(request.body)
    else:
        fields = json_object(request.body).get("signature") or {}
        if not isinstance(fields, dict):
            raise Refused("signature_malformed", "signature in the body is no object")
    signature, token = text(fields, "signature"), text(fields, "token")
    return Signature(text(fields, "timestamp", missing="timestamp_missing"), token, signature)


def signed_text(signed: Signature) -> bytes:
    """Give what is signed."""
    return signed.timestamp + signed.token
