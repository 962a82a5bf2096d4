"""Public keys as they are written: PEM (with its line breaks or without), base64, hexadecimal, JWK, certificates.

Everything here raises `ValueError` with a text that names what is wrong: keys come from the configuration or from
the provider's own address, and it is for the caller to say which.
"""

import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.utils import CryptographyDeprecationWarning

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
Key = TypeVar("Key", RSAPublicKey, EllipticCurvePublicKey, Ed25519PublicKey)

UNREADABLE = (
    *(ValueError, UnsupportedAlgorithm, x509.InvalidVersion),
    *(x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
    CryptographyDeprecationWarning,  # where warnings are errors
)
"""What the library raises for keys and certificates that are broken, or of a kind that it does not know."""
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----(.*?)-----END \1-----", re.DOTALL)
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_BLANKS = re.compile(rb"\\n|\s")  # a line break may have come as two characters, through an environment variable
_LONGEST_NUMBER = 1_400  # base64url of 8,192 bits is 1,366 characters


def rsa(text: bytes) -> RSAPublicKey:
    """Read an RSA key."""
    return as_rsa(public_key(text))


def p256(text: bytes) -> EllipticCurvePublicKey:
    """Read a key on the curve P-256."""
    return as_p256(public_key(text))


def ed25519(text: bytes) -> Ed25519PublicKey:
    """Read an Ed25519 key: its 32 bytes in hexadecimal or base64, or PEM."""
    raw = text.strip()
    if re.fullmatch(rb"[0-9a-fA-F]{64}", raw):
        return Ed25519PublicKey.from_public_bytes(binascii.unhexlify(raw))
    der = _der(raw)
    if len(der) == 32:
        return Ed25519PublicKey.from_public_bytes(der)
    key = public_key(text)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("this is not an Ed25519 key")
    return key


def public_key(text: bytes) -> PublicKey:
    """Read a key of any kind used here, also out of a certificate."""
    try:
        if b"BEGIN CERTIFICATE" in text:
            key: object = x509.load_der_x509_certificate(_der(text)).public_key()
        else:
            key = load_der_public_key(_der(text))
    except UNREADABLE:
        raise ValueError("this is neither a public key nor a certificate in PEM or base64") from None
    if isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        return key
    raise ValueError("this public key is neither RSA nor ECDSA nor Ed25519")


def from_jwk(jwk: Mapping[str, Any]) -> PublicKey:
    """Read a JSON Web Key."""
    kind, curve = jwk.get("kty"), jwk.get("crv")
    try:
        if kind == "RSA":
            return RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n")).public_key()
        if kind == "EC" and curve == "P-256":
            return EllipticCurvePublicNumbers(_number(jwk, "x"), _number(jwk, "y"), SECP256R1()).public_key()
        if kind == "OKP" and curve == "Ed25519":
            return Ed25519PublicKey.from_public_bytes(_bytes(jwk, "x"))
    except UnsupportedAlgorithm:
        raise ValueError("this JWK is of a kind that is not supported here") from None
    raise ValueError("this JWK is neither RSA nor P-256 nor Ed25519")


def as_rsa(key: PublicKey) -> RSAPublicKey:
    """Give the key, which must be of RSA."""
    if not isinstance(key, RSAPublicKey):
        raise ValueError("this is not an RSA key")
    return key


def as_p256(key: PublicKey) -> EllipticCurvePublicKey:
    """Give the key, which must be on the curve P-256."""
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("this is not an ECDSA key on P-256")
    return key


def rsa_verifies(key: RSAPublicKey, signature: bytes, text: bytes, digest: HashAlgorithm | None = None) -> bool:
    """Tell whether this is the key's PKCS#1 v1.5 signature of the text, over SHA-256 unless said otherwise."""
    return _holds(lambda: key.verify(signature, text, PKCS1v15(), digest or SHA256()))


def ecdsa_verifies(
    key: EllipticCurvePublicKey, signature: bytes, text: bytes, digest: HashAlgorithm | None = None
) -> bool:
    """Tell whether this is the key's ECDSA signature (DER) of the text, over SHA-256 unless said otherwise."""
    return _holds(lambda: key.verify(signature, text, ECDSA(digest or SHA256())))


def ed25519_verifies(key: Ed25519PublicKey, signature: bytes, text: bytes) -> bool:
    """Tell whether this is the key's signature of the text."""
    return _holds(lambda: key.verify(signature, text))


def first(keys: Sequence[Key], verifies: Callable[[Key], bool]) -> int:
    """Give the number of the first key that verifies; 0: none does."""
    return next((number for number, key in enumerate(keys, start=1) if verifies(key)), 0)


def _holds(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def _der(text: bytes) -> bytes:
    match = _PEM.search(text)
    try:
        return binascii.a2b_base64(_BLANKS.sub(b"", match[2] if match else text), strict_mode=True)
    except ValueError:
        raise ValueError("this is neither PEM nor base64") from None


def _bytes(jwk: Mapping[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str) or len(value) > _LONGEST_NUMBER or not _BASE64URL.fullmatch(value):
        raise ValueError(f"{name} of this JWK is not base64url")
    return binascii.a2b_base64(value.translate({45: "+", 95: "/"}) + "=" * (-len(value) % 4))


def _number(jwk: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_bytes(jwk, name))
