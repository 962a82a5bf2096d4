"""WeChat: the token, the time and a nonce, sorted, joined and hashed, in the URL; the body is not signed.

https://developers.weixin.qq.com/doc/offiaccount/en/Basic_Information/Access_Overview.html
"""

import hmac
from hashlib import sha1
from urllib.parse import parse_qsl

from app.core.catalog.proof import Credentials, Freshness, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.address import known_url, split
from app.core.catalog.schemes.mac import required, secrets_of
from app.core.catalog.schemes.reading import unhex, utf8
from app.core.catalog.schemes.refused import Refused, proved, refuse_if, refusing
from app.core.catalog.timestamps import judge, seconds

WHAT = "signature in the URL"


def prepare(credentials: Credentials, freshness: Freshness) -> Verifier:
    """SHA-1 in hexadecimal over what the query says, with the token among it."""
    secrets = secrets_of(credentials)

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        signature, stamp, nonce = parts(request)
        given = unhex(signature, WHAT)
        matched = [n for n, secret in enumerate(secrets, 1) if hmac.compare_digest(code(secret, stamp, nonce), given)]
        required(matched[0] if matched else 0, len(secrets), WHAT, "token, timestamp and nonce")
        refuse_if(judge(freshness, now, "timestamp in the URL", seconds, stamp))
        return proved("sha1", matched[0])

    return refusing(verify)


def parts(request: SignedRequest) -> tuple[bytes, bytes, bytes]:
    """Give signature, timestamp and nonce."""
    try:
        query = dict(parse_qsl(split(known_url(request)).query, keep_blank_values=True, max_num_fields=100))
    except ValueError:
        raise Refused("signature_malformed", "the URL's query cannot be read") from None
    if not query.get("signature"):
        raise Refused("signature_missing", "no signature in the URL")
    return (
        utf8(query["signature"], WHAT),
        utf8(query.get("timestamp", ""), "timestamp in the URL"),
        utf8(query.get("nonce", ""), "nonce in the URL"),
    )


def code(token: bytes, stamp: bytes, nonce: bytes) -> bytes:
    """Give the code that WeChat makes: it fixes the digest, and the order is that of the texts themselves."""
    return sha1(b"".join(sorted([token, stamp, nonce]))).digest()  # noqa: S324
