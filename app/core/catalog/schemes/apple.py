"""Apple's App Store notifications, version 2: a token that brings its certificates, up to Apple's own root.

https://developer.apple.com/documentation/appstoreservernotifications/responsebodyv2
"""

import binascii
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from app.core.catalog.proof import Credentials, Freshness, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.jws import LONGEST_IN_BODY, Jws, es256_verifies, parse
from app.core.catalog.schemes.keys import UNREADABLE
from app.core.catalog.schemes.mac import setting
from app.core.catalog.schemes.reading import json_object, text
from app.core.catalog.schemes.refused import Refused, proved, refuse_if, refusing
from app.core.catalog.timestamps import judge_age

ROOT_SHA256 = bytes.fromhex("63343abfb89a6a03ebb57e9b3f5fa7be7c4f5c756f3017b3a8c488c3653e9179")
"""Apple Root CA - G3, https://www.apple.com/certificateauthority/AppleRootCA-G3.cer, good to 2039."""
LEAF = x509.ObjectIdentifier("1.2.840.113635.100.6.11.1")
INTERMEDIATE = x509.ObjectIdentifier("1.2.840.113635.100.6.2.1")
_ABOUT = ("data", "summary", "externalPurchaseToken", "appData")
"""Where a payload says what it is about, one of them by its type."""


def prepare(credentials: Credentials, freshness: Freshness) -> Verifier:
    """ES256 with a chain of three certificates, for the setting `bundle_id` and, where given, `environment`.

    The setting `root_der_b64` puts another root in the place of Apple's.
    """
    bundle_id, environment = setting(credentials, "bundle_id"), credentials.settings.get("environment")
    pinned = _pinned_root(credentials.settings.get("root_der_b64"))

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        signed = text(json_object(request.body), "signedPayload")
        token = parse(signed, "ES256", LONGEST_IN_BODY)
        made = _made_at(token)
        key = leaf_key(_chain(token), pinned, made)
        if not es256_verifies(token, key):
            raise Refused("signature_mismatch", "signedPayload was not signed by its first certificate")
        _compare(token.payload, bundle_id, environment)
        if now is not None:
            refuse_if(judge_age(freshness, now - made))
        return proved("jws-es256-x5c")

    return refusing(verify)


def leaf_key(chain: list[bytes], pinned: x509.Certificate | None, at: float) -> EllipticCurvePublicKey:
    """Follow the chain from the root to the certificate that signs, and give that one's key.

    The root that the token brings counts only when it is Apple's; where another is pinned, it does not count at all.
    Validity is judged at the time that the payload was signed, as Apple's own library does it without a network.
    """
    if pinned is None and sha256(chain[2]).digest() != ROOT_SHA256:
        raise Refused("certificate_refused", "the last certificate of x5c is not Apple Root CA - G3")
    try:
        leaf, intermediate, brought = (x509.load_der_x509_certificate(each) for each in chain)
        root = pinned or brought
        leaf.verify_directly_issued_by(intermediate)
        intermediate.verify_directly_issued_by(root)
        leaf.extensions.get_extension_for_oid(LEAF)
        intermediate.extensions.get_extension_for_oid(INTERMEDIATE)
        authority = intermediate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        valid = all(_valid(each, at) for each in (leaf, intermediate, root))
        key = leaf.public_key()
    except (*UNREADABLE, TypeError, InvalidSignature, x509.ExtensionNotFound):
        raise Refused("certificate_refused", "x5c is no chain of Apple's certificates for the App Store") from None
    if not authority or not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise Refused("certificate_refused", "x5c is no chain of Apple's certificates for the App Store")
    if not valid:
        raise Refused("certificate_refused", "a certificate of x5c was not valid when the payload was signed")
    return key


def _pinned_root(root_der_b64: str | None) -> x509.Certificate | None:
    if root_der_b64 is None:
        return None
    try:
        return x509.load_der_x509_certificate(binascii.a2b_base64(root_der_b64, strict_mode=True))
    except UNREADABLE:
        raise ValueError("the setting root_der_b64 is no certificate in base64") from None


def _chain(token: Jws) -> list[bytes]:
    x5c = token.header.get("x5c")
    if not isinstance(x5c, list) or len(x5c) != 3 or not all(isinstance(each, str) for each in x5c):
        raise Refused("certificate_refused", "the token does not bring three certificates")
    try:
        return [binascii.a2b_base64(each, strict_mode=True) for each in x5c]
    except ValueError:
        raise Refused("certificate_refused", "x5c is not base64") from None


def _made_at(token: Jws) -> float:
    made = token.payload.get("signedDate")
    if isinstance(made, bool) or not isinstance(made, int) or not 0 <= made < 10**15:
        raise Refused("timestamp_malformed", "signedDate of the payload is no time in milliseconds")
    return made / 1000


def _valid(certificate: x509.Certificate, at: float) -> bool:
    return certificate.not_valid_before_utc.timestamp() <= at <= certificate.not_valid_after_utc.timestamp()


def _compare(payload: dict[str, Any], bundle_id: str, environment: str | None) -> None:
    about = next((payload[name] for name in _ABOUT if payload.get(name)), None)
    if not isinstance(about, dict) or about.get("bundleId") != bundle_id:
        raise Refused("claim_mismatch", "the notification is about another app than bundle_id")
    if environment and about.get("environment") != environment:
        raise Refused("claim_mismatch", "the notification is of another environment")
