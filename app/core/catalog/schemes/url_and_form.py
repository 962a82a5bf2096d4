"""Twilio and Mandrill sign the URL, then each field of the form: names in order, each followed by its value.

Twilio: https://www.twilio.com/docs/usage/security#validating-requests
and https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys
Mandrill: https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks
"""

import re
from binascii import a2b_qp
from hashlib import sha256
from urllib.parse import parse_qsl, unquote_to_bytes

from app.core.catalog.proof import Credentials, Freshness, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.address import known_url, split
from app.core.catalog.schemes.mac import matching, required, same, secrets_of
from app.core.catalog.schemes.reading import header, optional_header, unbase64, unhex
from app.core.catalog.schemes.refused import Refused, proved, refusing

TWILIO_HEADER = b"x-twilio-signature"
TWILIO_SETTINGS = b"x-twilio-webhooks-signature-settings"
MANDRILL_HEADER = b"x-mandrill-signature"
BODY_HASH = "bodySHA256"
_DIGESTS = {b"HMAC_SHA1": "sha1", b"HMAC_SHA256": "sha256"}
MOST_FIELDS = 1_000
_MARKED = bytes.maketrans(b"+&=", b" \xff\xfe")
_AS_QUOTED_PRINTABLE = bytes.maketrans(b"+&=%", b" \xff\xfe=")
_IN_ORDER = bytes([*range(1, 0xFF), 0, 0xFF])
_AS_BEFORE = bytes([0xFE, *range(0xFE), 0xFF])
_URL = re.compile(r"(https?://)([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_PORT = re.compile(r":[0-9]+\Z")


def twilio(credentials: Credentials, _freshness: Freshness) -> Verifier:
    """HMAC over the URL and the form; a body that is no form is signed by its hash in the URL's query.

    SHA-1 with the account's auth token, or the digest that a header names with a shared key: the secrets may be of
    both kinds.
    """
    secrets = secrets_of(credentials)

    def verify(request: SignedRequest, _now: float | None) -> Verdict:
        given = unbase64(header(request, TWILIO_HEADER), "x-twilio-signature")
        digest, url, signed = twilio_digest(request), known_url(request), twilio_fields(request)
        number = matching(secrets, digest, [url.encode() + signed], [given])
        number = number or matching(secrets, digest, [with_other_port(url).encode() + signed], [given])
        required(number, len(secrets), "x-twilio-signature", "the URL (with and without its port) and the form")
        return proved(f"hmac-{digest}", number)

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


def twilio_digest(request: SignedRequest) -> str:
    """Give the digest: SHA-1, unless `key=…,algorithm=…` names another."""
    for part in optional_header(request, TWILIO_SETTINGS).split(b","):
        name, _, algorithm = (text.strip().upper() for text in part.partition(b"="))
        if name == b"ALGORITHM" and algorithm:
            if algorithm not in _DIGESTS:
                raise Refused("algorithm_refused", f"{TWILIO_SETTINGS.decode()} names a digest that is not known")
            return _DIGESTS[algorithm]
    return "sha1"


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
    fields = _fields(body)
    ordered = sorted(set(fields)) if unique else sorted(fields, key=lambda field: field.partition(b"\0")[0])
    return b"".join(ordered).translate(_AS_BEFORE, b"\0")


def _fields(body: bytes) -> list[bytes]:
    """Read a form as bytes, which is what is signed, each field with a zero between its name and its value.

    All is done on the body as a whole, which is several times as fast as field by field. For that, `&` and `=` give
    way to two bytes that stand in no UTF-8 text. Then every other byte moves up by one (`_IN_ORDER`) and leaves zero
    to `=`, so that fields in the order of their bytes are in the order of their names.
    """
    decoded = _decoded(body)
    separators, marks = body.count(b"&"), body.count(b"=")
    if separators > MOST_FIELDS or decoded.count(b"\xff") != separators or decoded.count(b"\xfe") != marks:
        raise Refused("signature_malformed", f"the body is no form of UTF-8 texts with at most {MOST_FIELDS} fields")
    fields = decoded.translate(_IN_ORDER).split(b"\xff")
    return [field if field.count(b"\0") == 1 else _parted(field) for field in fields if field]


def _parted(field: bytes) -> bytes:
    """Part a field without `=`, or with several, of which only the first parts name and value."""
    name, _, value = field.partition(b"\0")
    return name + b"\0" + value.replace(b"\0", b"=".translate(_IN_ORDER))


def _decoded(body: bytes) -> bytes:
    """Decode what is escaped by percent signs.

    Quoted-printable is the same with another sign, and the standard library decodes it in C. The two differ in lines,
    and in escapes that are none: every escape that is one makes the text shorter by two.
    """
    if b"\n" not in body and b"\r" not in body:
        decoded = a2b_qp(body.translate(_AS_QUOTED_PRINTABLE))
        if len(decoded) == len(body) - 2 * body.count(b"%"):
            return decoded
    return unquote_to_bytes(body.translate(_MARKED))


def with_other_port(url: str) -> str:
    """Give the URL with its port left out or, where it has none, the usual one said."""
    match = _URL.fullmatch(url)
    if match is None:
        return url
    scheme, host, rest = match.groups()
    other = _PORT.sub("", host)
    if other == host:
        other += ":443" if scheme.lower() == "https://" else ":80"
    return scheme + other + rest
