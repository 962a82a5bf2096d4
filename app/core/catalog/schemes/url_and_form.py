"""Twilio and Mandrill sign the URL, then each field of the form: names in order, each followed by its value.

Twilio: https://www.twilio.com/docs/usage/security#validating-requests
Mandrill: https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks
"""

import re
from hashlib import sha256
from operator import itemgetter
from urllib.parse import parse_qsl, unquote_to_bytes

from app.core.catalog.proof import Credentials, Freshness, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.address import known_url, split
from app.core.catalog.schemes.mac import matching, required, same, secrets_of
from app.core.catalog.schemes.reading import header, unbase64, unhex
from app.core.catalog.schemes.refused import Refused, proved, refusing

TWILIO_HEADER = b"x-twilio-signature"
MANDRILL_HEADER = b"x-mandrill-signature"
BODY_HASH = "bodySHA256"
MOST_FIELDS = 1_000
_NEVER_UTF8 = re.compile(rb"[\xfe\xff]|%[Ff][EeFf]")
_MARKED = bytes.maketrans(b"+&=", b" \xff\xfe")
_URL = re.compile(r"(https?://)([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_PORT = re.compile(r":[0-9]+\Z")


def twilio(credentials: Credentials, _freshness: Freshness) -> Verifier:
    """HMAC-SHA1 over the URL and the form; a body that is no form is signed by its hash in the URL's query."""
    secrets = secrets_of(credentials)

    def verify(request: SignedRequest, _now: float | None) -> Verdict:
        given = unbase64(header(request, TWILIO_HEADER), "x-twilio-signature")
        urls = with_and_without_port(known_url(request))
        signed = twilio_fields(request)
        texts = [url.encode() + signed for url in urls]
        number = matching(secrets, "sha1", texts, [given])
        required(number, len(secrets), "x-twilio-signature", "the URL (with and without its port) and the form")
        return proved("hmac-sha1", number)

    return refusing(verify)


def mandrill(credentials: Credentials, _freshness: Freshness) -> Verifier:
    """HMAC-SHA1 over the URL and the form."""
    secrets = secrets_of(credentials)

    def verify(request: SignedRequest, _now: float | None) -> Verdict:
        given = unbase64(header(request, MANDRILL_HEADER), "x-mandrill-signature")
        signed = known_url(request).encode() + joined(request.body, unique=False)
        number = matching(secrets, "sha1", [signed], [given])
        required(number, len(secrets), "x-mandrill-signature", "the URL and the form")
        return proved("hmac-sha1", number)

    return refusing(verify)


def twilio_fields(request: SignedRequest) -> bytes:
    """Give what Twilio signs after the URL: nothing where the URL carries the body's hash, which is compared here.

    A body that is no form is read as one all the same: then it takes part in the text and cannot be slipped in
    beside the signature of a request without a body.
    """
    stated = body_hash(request.url)
    if stated is None:
        return joined(request.body, unique=True)
    if not same(unhex(stated.encode(), BODY_HASH), sha256(request.body).digest()):
        raise Refused("signature_mismatch", f"{BODY_HASH} in the URL is not the hash of the body")
    return b""


def body_hash(url: str) -> str | None:
    """Give the hash of the body that the URL states."""
    if BODY_HASH not in url:
        return None
    query = parse_qsl(split(url).query, keep_blank_values=True)
    return next((value for name, value in query if name == BODY_HASH), None)


def joined(body: bytes, *, unique: bool) -> bytes:
    """Join the form's names and values, in order of the names, with nothing between.

    Of the equal values of one name Twilio signs the first only, and puts the others in order.
    """
    pairs = _pairs(body)
    if unique:
        return b"".join(name + value for name, value in sorted(set(pairs)))
    return b"".join(name + value for name, value in sorted(pairs, key=itemgetter(0)))


def _pairs(body: bytes) -> list[tuple[bytes, bytes]]:
    """Read a form as bytes, which is what is signed, and decode it once as a whole: several times as fast.

    For that, the separators give way to two bytes that stand in no UTF-8 text.
    """
    if body.count(b"&") > MOST_FIELDS or _NEVER_UTF8.search(body):
        raise Refused("signature_malformed", f"the body is no form of UTF-8 texts with at most {MOST_FIELDS} fields")
    decoded = unquote_to_bytes(body.translate(_MARKED))
    fields = [field.partition(b"\xfe") for field in decoded.split(b"\xff") if field]
    return [(name, value.replace(b"\xfe", b"=")) for name, _, value in fields]


def with_and_without_port(url: str) -> list[str]:
    """Give the URL as it stands, and with its port left out or (where it has none) the usual one said."""
    match = _URL.fullmatch(url)
    if match is None:
        return [url]
    scheme, host, rest = match.groups()
    other = _PORT.sub("", host)
    if other == host:
        other += ":443" if scheme.lower() == "https://" else ":80"
    return [url, scheme + other + rest]
