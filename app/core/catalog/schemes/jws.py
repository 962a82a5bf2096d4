"""JSON Web Signatures, compact form only, and only with the one algorithm that the provider is known to use.

RFC 7515. Nothing of the header is believed before it is compared: not the algorithm, not a key that it brings.
"""

import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from app.core.catalog.schemes.keys import ecdsa_verifies, rsa_verifies
from app.core.catalog.schemes.mac import matching
from app.core.catalog.schemes.reading import json_object
from app.core.catalog.schemes.refused import Refused

LONGEST_IN_HEADER = 16 * 1024
LONGEST_IN_BODY = 1024 * 1024
Algorithm = Literal["HS256", "RS256", "ES256"]
_COMPACT = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)")


class Jws(NamedTuple):
    """A token, taken apart and not yet believed."""

    header: dict[str, Any]
    payload: dict[str, Any]
    signed: bytes
    signature: bytes


def parse(token: bytes, algorithm: Algorithm, longest: int = LONGEST_IN_HEADER) -> Jws:
    """Take a token apart and refuse every algorithm but this one."""
    match = _COMPACT.fullmatch(token) if len(token) <= longest else None
    if match is None:
        raise Refused("signature_malformed", f"the token is no compact JWS of at most {longest} bytes")
    header = json_object(unbase64url(match[1]), "the token's header")
    if header.get("alg") != algorithm:
        raise Refused("algorithm_refused", f"the token's alg is not {algorithm}")
    if "crit" in header:
        raise Refused("algorithm_refused", "the token demands extensions that are not known here")
    payload = json_object(unbase64url(match[2]), "the token's payload")
    return Jws(header, payload, token[: match.end(2)], unbase64url(match[3]))


def hs256_matches(jws: Jws, secrets: tuple[bytes, ...]) -> int:
    """Give the number of the secret that made the token; 0: none did."""
    return matching(secrets, "sha256", [jws.signed], [jws.signature])


def rs256_verifies(jws: Jws, key: RSAPublicKey) -> bool:
    """Tell whether the key signed the token."""
    return rsa_verifies(key, jws.signature, jws.signed)


def es256_verifies(jws: Jws, key: EllipticCurvePublicKey) -> bool:
    """Tell whether the key signed the token; the signature is two numbers of 32 bytes."""
    if len(jws.signature) != 64:
        return False
    halves = (int.from_bytes(jws.signature[:32]), int.from_bytes(jws.signature[32:]))
    return ecdsa_verifies(key, encode_dss_signature(*halves), jws.signed)


def key_id(jws: Jws) -> str:
    """Give the name of the key that the token says it was signed with: short, and nothing that changes a URL."""
    name = jws.header.get("kid")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9._~=-]{1,128}", name):
        raise Refused("key_unknown", "the token names no key")
    return name


def compact(header: Mapping[str, Any], payload: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> bytes:
    """Write a token."""
    parts = (json.dumps(part, separators=(",", ":")).encode() for part in (header, payload))
    signed = b".".join(map(base64url, parts))
    return signed + b"." + base64url(sign(signed))


def base64url(data: bytes) -> bytes:
    """Encode without padding."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=")


def unbase64url(text: bytes) -> bytes:
    """Decode, given only its alphabet and no padding."""
    try:
        return binascii.a2b_base64(text.translate(_FROM_URL) + b"=" * (-len(text) % 4))
    except binascii.Error:
        raise Refused("signature_malformed", "a part of the token is not base64url") from None


_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")
