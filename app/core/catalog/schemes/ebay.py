"""eBay: ECDSA over the body, with a key that the header names by its id.

https://developer.ebay.com/develop/guides-v2/marketplace-account-deletion
"""

import re
from typing import NamedTuple

from cryptography.hazmat.primitives.hashes import SHA1

from app.core.catalog.proof import Credentials, Freshness, KeyWanted, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.jwks import document_of, usable
from app.core.catalog.schemes.keys import as_p256, ecdsa_verifies, first
from app.core.catalog.schemes.mac import required
from app.core.catalog.schemes.reading import header, json_object, text, unbase64
from app.core.catalog.schemes.refused import Refused, proved, refusing

SIGNATURE = b"x-ebay-signature"
DIGEST = SHA1()  # noqa: S303  eBay's choice, not ours
_HOSTS = {"production": "api.ebay.com", "sandbox": "api.sandbox.ebay.com"}
_KEY_ID = re.compile(rb"[A-Za-z0-9-]{1,64}")


class Signature(NamedTuple):
    """What the header says."""

    key_id: str
    signature: bytes


def prepare(credentials: Credentials, _freshness: Freshness) -> Verifier:
    """ECDSA with SHA-1, DER in base64; a public key among the secrets stands for every id.

    eBay hands its keys out by `getPublicKey`, which wants an application token with the request.
    """
    host = _HOSTS.get(credentials.settings.get("environment", "production"))
    if host is None:
        raise ValueError("the setting environment is neither production nor sandbox")

    def verify(request: SignedRequest, _now: float | None) -> Verdict:
        given = read_signature(header(request, SIGNATURE))
        url = f"https://{host}/commerce/notification/v1/public_key/{given.key_id}"
        known = document_of(credentials, given.key_id, url)
        documents = credentials.secrets if known is None else (known,)
        if not documents:
            return KeyWanted(url)
        keys = [usable(document, as_p256) for document in documents]
        number = first(keys, lambda key: ecdsa_verifies(key, given.signature, request.body, DIGEST))
        required(number, len(keys), "x-ebay-signature", "the body")
        return proved("ecdsa-sha1", number)

    return refusing(verify)


def read_signature(value: bytes) -> Signature:
    """Read the header: base64 of a JSON object with `kid`, `alg`, `digest` and `signature`."""
    fields = json_object(unbase64(value, "x-ebay-signature"), "x-ebay-signature")
    if str(fields.get("alg", "ecdsa")).lower() != "ecdsa" or fields.get("digest", "SHA1") != "SHA1":
        raise Refused("algorithm_refused", "x-ebay-signature is not made by ECDSA with SHA-1")
    key_id = text(fields, "kid", "x-ebay-signature")
    if not _KEY_ID.fullmatch(key_id):
        raise Refused("key_unknown", "x-ebay-signature names no key")
    signature = unbase64(text(fields, "signature", "x-ebay-signature"), "signature in x-ebay-signature")
    return Signature(key_id.decode(), signature)
