"""Contentful signs method, path, the headers that it lists, and the body.

https://www.contentful.com/developers/docs/extensibility/app-framework/request-verification
"""

from urllib.parse import quote

from app.core.catalog.proof import Credentials, Freshness, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.address import known_url, split
from app.core.catalog.schemes.mac import matching, required, secrets_of
from app.core.catalog.schemes.reading import header, unhex, utf8
from app.core.catalog.schemes.refused import Refused, proved, refuse_if, refusing
from app.core.catalog.timestamps import judge, milliseconds

SIGNATURE = b"x-contentful-signature"
SIGNED_HEADERS = b"x-contentful-signed-headers"
TIMESTAMP = b"x-contentful-timestamp"
MOST_HEADERS = 64
# What JavaScript's encodeURIComponent and encodeURI leave as it is, beside letters and digits.
_COMPONENT_SAFE = "-_.!~*'()"
_URI_SAFE = ";,/?:@&=+$#" + _COMPONENT_SAFE


def prepare(credentials: Credentials, freshness: Freshness) -> Verifier:
    """HMAC-SHA256 in hexadecimal; the timestamp and the list of signed headers must be among the signed headers."""
    secrets = secrets_of(credentials)

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        given = unhex(header(request, SIGNATURE), "x-contentful-signature")
        names = header(request, SIGNED_HEADERS).lower().split(b",")
        if len(names) > MOST_HEADERS or TIMESTAMP not in names or SIGNED_HEADERS not in names:
            raise Refused("signature_malformed", "x-contentful-signed-headers leaves out what must be signed")
        number = matching(secrets, "sha256", [signed_text(request, names)], [given])
        required(number, len(secrets), "x-contentful-signature", "method, path, signed headers and body")
        refuse_if(judge(freshness, now, "x-contentful-timestamp", milliseconds, header(request, TIMESTAMP)))
        return proved("hmac-sha256", number)

    return refusing(verify)


def signed_text(request: SignedRequest, names: list[bytes]) -> bytes:
    """Write the request as Contentful does before it signs."""
    headers = b";".join(name + b":" + header(request, name) for name in sorted(set(names)))
    path = utf8(signed_path(known_url(request)), "the URL")
    return b"\n".join((utf8(request.method, "the method"), path, headers, request.body))


def signed_path(url: str) -> str:
    """Write path and query as the toolkit does: it escapes the whole query first, and the percent signs again."""
    parts = split(url)
    query = parts.query.partition("?")[0]
    escaped = f"?{quote(query, safe=_COMPONENT_SAFE)}" if query else ""
    return quote((parts.path or "/") + escaped, safe=_URI_SAFE)
