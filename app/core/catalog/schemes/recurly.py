"""Recurly: a list without names, the time in milliseconds first, then a code for each secret in use.

https://docs.recurly.com/recurly-subscriptions/docs/signature-verification
"""

from app.core.catalog.proof import Credentials, Freshness, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.mac import matching, required, secrets_of
from app.core.catalog.schemes.reading import header, unhex
from app.core.catalog.schemes.refused import Refused, proved, refuse_if, refusing
from app.core.catalog.timestamps import judge, milliseconds

SIGNATURE = b"recurly-signature"
MOST_CODES = 10


def prepare(credentials: Credentials, freshness: Freshness) -> Verifier:
    """HMAC-SHA256 in hexadecimal over time, dot and body."""
    secrets = secrets_of(credentials)

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        timestamp, *codes = [part.strip() for part in header(request, SIGNATURE).split(b",")]
        if not 0 < len(codes) <= MOST_CODES:
            raise Refused("signature_malformed", f"recurly-signature has not 1 to {MOST_CODES} codes after its time")
        given = [unhex(code, "recurly-signature") for code in codes]
        number = matching(secrets, "sha256", [signed_text(timestamp, request.body)], given)
        required(number, len(secrets), "recurly-signature", "time and body")
        refuse_if(judge(freshness, now, "the time in recurly-signature", milliseconds, timestamp))
        return proved("hmac-sha256", number)

    return refusing(verify)


def signed_text(timestamp: bytes, body: bytes) -> bytes:
    """Give what is signed."""
    return timestamp + b"." + body
