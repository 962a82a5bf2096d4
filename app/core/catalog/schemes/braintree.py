"""Braintree: a form with a payload and, for each of the merchant's keys, the public key and the payload's code.

https://developer.paypal.com/braintree/docs/guides/webhooks/parse
"""

import binascii
import hmac
import re
from hashlib import sha1

from app.core.catalog.proof import Credentials, Freshness, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.mac import matching, mismatch, secrets_of, setting
from app.core.catalog.schemes.reading import form, text, unhex
from app.core.catalog.schemes.refused import Refused, proved, refuse_if, refusing
from app.core.catalog.timestamps import judge, rfc3339

MOST_PAIRS = 20
_PAYLOAD = re.compile(rb"[A-Za-z0-9+=/\n]+")
_TIMESTAMP = re.compile(rb"<timestamp[^>]{0,64}>([^<]{1,40})</timestamp>")


def prepare(credentials: Credentials, freshness: Freshness) -> Verifier:
    """HMAC-SHA1 whose key is the SHA-1 of the private key; the pair is chosen by the public key.

    The secrets are private keys; the setting `public_key` holds the public key of each, in the same order, with a
    blank between.
    """
    private_keys = secrets_of(credentials)
    public_keys = setting(credentials, "public_key").encode().split()
    if len(public_keys) != len(private_keys):
        raise ValueError("there must be one public_key for each secret")
    makers = [signing_key(private_key) for private_key in private_keys]

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        fields = form(request.body)
        payload = text(fields, "bt_payload", "the form")
        pairs = _pairs(text(fields, "bt_signature", "the form"))
        if not _PAYLOAD.fullmatch(payload):
            raise Refused("signature_malformed", "bt_payload is not base64")
        known = [number for number, key in enumerate(public_keys) if key in pairs]
        if not known:
            raise Refused("key_unknown", "bt_signature has no pair for this public_key")
        for number in known:
            code = unhex(pairs[public_keys[number]], "bt_signature")
            # Some frameworks drop the last line break of the payload, as Braintree's own library knows.
            if matching([makers[number]], "sha1", [payload, payload + b"\n"], [code]):
                refuse_if(judge(freshness, now, "timestamp of the payload", rfc3339, _timestamp(payload)))
                return proved("hmac-sha1", number + 1)
        raise mismatch(len(known), "bt_signature", "bt_payload")

    return refusing(verify)


def signing_key(private_key: bytes) -> bytes:
    """Make the key of the code from the private key."""
    return sha1(private_key, usedforsecurity=False).digest()


def signature(private_key: bytes, text: bytes) -> bytes:
    """Make the code of a payload or a challenge, in hexadecimal."""
    return hmac.digest(signing_key(private_key), text, "sha1").hex().encode()


def _pairs(given: bytes) -> dict[bytes, bytes]:
    parts = given.split(b"&")
    if len(parts) > MOST_PAIRS:
        raise Refused("signature_malformed", f"bt_signature has more than {MOST_PAIRS} pairs")
    return {key: code for key, bar, code in (part.partition(b"|") for part in parts) if bar}


def _timestamp(payload: bytes) -> bytes:
    try:
        match = _TIMESTAMP.search(binascii.a2b_base64(payload))
    except binascii.Error:
        match = None
    return match[1] if match else b""
