"""Keys made up on the spot, so that requests of a provider who alone holds the private key can be tried at all.

Each gives what signs and what a source must be configured with to believe it. A private key in PEM, where one is given,
is used instead of a new one: what the source was configured with stays good.
"""

import base64
import json
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from app.core.catalog.proof import Credentials
from app.core.catalog.schemes.apple import INTERMEDIATE, LEAF
from app.core.catalog.schemes.ed25519_schemes import KEY_PREFIX
from app.core.catalog.schemes.jws import base64url
from app.core.catalog.schemes.oidc import CHAT
from app.core.catalog.schemes.signing.private_keys import PrivateKey, private_key

KEY_ID = "generated"
AUDIENCE = "https://hooks.example.com/in"
_FROM, _TO = datetime(2020, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, tzinfo=UTC)
"""Certificates made here hold at any time that somebody may want to try."""
_MARK = b"\x05\x00"


class GeneratedKey(NamedTuple):
    """Both halves."""

    private: Credentials
    """What signs."""
    public: Credentials
    """What the source is configured with."""


def ed25519_key(pem: bytes | None = None) -> GeneratedKey:
    """Ed25519, the public half in hexadecimal."""
    key = _ed25519(pem)
    return GeneratedKey(Credentials((_pem(key),)), Credentials((_raw(key).hex().encode(),)))


def standard_key(pem: bytes | None = None) -> GeneratedKey:
    """Ed25519, the public half in base64 after the prefix of Standard Webhooks."""
    key = _ed25519(pem)
    return GeneratedKey(Credentials((_pem(key),)), Credentials((KEY_PREFIX + base64.b64encode(_raw(key)),)))


def rsa_key(pem: bytes | None = None) -> GeneratedKey:
    """RSA, the public half in PEM."""
    key = _rsa(pem)
    return GeneratedKey(Credentials((_pem(key),)), Credentials((_public_pem(key),)))


def p256_key(pem: bytes | None = None) -> GeneratedKey:
    """ECDSA, the public half in base64 without the lines of PEM."""
    key = _p256(pem)
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return GeneratedKey(Credentials((_pem(key),)), Credentials((base64.b64encode(der),)))


def ebay_key(pem: bytes | None = None) -> GeneratedKey:
    """ECDSA with an id, the public half as eBay publishes it."""
    key = _p256(pem)
    published = json.dumps({"key": _public_pem(key).decode(), "algorithm": "ECDSA", "digest": "SHA1"})
    return GeneratedKey(
        Credentials((_pem(key),), {"kid": KEY_ID}), Credentials(keys={f"kid:{KEY_ID}": published.encode()})
    )


def plaid_key(pem: bytes | None = None) -> GeneratedKey:
    """ECDSA with an id, the public half as a JWK."""
    key = _p256(pem)
    point = key.public_key().public_numbers()
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "alg": "ES256",
        "kid": KEY_ID,
        "x": _number(point.x, 32),
        "y": _number(point.y, 32),
    }
    return GeneratedKey(
        Credentials((_pem(key),), {"kid": KEY_ID}), Credentials(keys={f"kid:{KEY_ID}": json.dumps(jwk).encode()})
    )


def google_key(pem: bytes | None = None, email: str = "push@project.iam.gserviceaccount.com") -> GeneratedKey:
    """RSA with an id, the public half as a set of JWKs."""
    key = _rsa(pem)
    numbers = key.public_key().public_numbers()
    jwk = {"kty": "RSA", "alg": "RS256", "kid": KEY_ID, "n": _number(numbers.n, 256), "e": _number(numbers.e, 3)}
    about = {"audience": AUDIENCE, "email": email}
    return GeneratedKey(
        Credentials((_pem(key),), {**about, "kid": KEY_ID}),
        Credentials((), {**about, "jwks": json.dumps({"keys": [jwk]})}),
    )


def chat_key(pem: bytes | None = None) -> GeneratedKey:
    """The same for Google Chat."""
    return google_key(pem, CHAT)


def sns_key(pem: bytes | None = None) -> GeneratedKey:
    """RSA, the public half in a certificate that the source pins."""
    key = _rsa(pem)
    pinned = certificate("sns.amazonaws.com", key, "sns.amazonaws.com", key).public_bytes(Encoding.PEM)
    return GeneratedKey(Credentials((_pem(key),)), Credentials((pinned,)))


def paypal_key(pem: bytes | None = None) -> GeneratedKey:
    """The same, with the id of a webhook."""
    private, public = sns_key(pem)
    about = {"webhook_id": "WH-GENERATED"}
    pinned = public.secrets[0].decode()
    return GeneratedKey(private._replace(settings=about), Credentials((), {**about, "cert_pem": pinned}))


def apple_key(pem: bytes | None = None) -> GeneratedKey:
    """A root, an intermediate and a leaf with Apple's marks, all with one key; the source pins the root."""
    key = _p256(pem)
    chain = [
        certificate("Leaf", key, "Intermediate", key, LEAF),
        certificate("Intermediate", key, "Root", key, INTERMEDIATE, authority=True),
        certificate("Root", key, "Root", key, authority=True),
    ]
    x5c = [base64.b64encode(each.public_bytes(Encoding.DER)).decode() for each in chain]
    about = {"bundle_id": "com.example"}
    return GeneratedKey(
        Credentials((_pem(key),), {**about, "x5c": json.dumps(x5c)}),
        Credentials((), {**about, "root_der_b64": x5c[2]}),
    )


def certificate(
    subject: str,
    key: RSAPrivateKey | EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: RSAPrivateKey | EllipticCurvePrivateKey,
    mark: x509.ObjectIdentifier | None = None,
    *,
    authority: bool = False,
) -> x509.Certificate:
    """Make a certificate for a key, signed by another or by itself, with or without a mark of Apple's.

    It has all that strict readers ask for (RFC 5280, 4.2.1), as Apple's own library does.
    """
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_TO)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(_usage(authority=authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if mark is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(mark, _MARK), critical=False)
    return builder.sign(issuer_key, SHA256())


def _rsa(pem: bytes | None) -> RSAPrivateKey:
    key = generate_rsa(65_537, 2_048) if pem is None else private_key(Credentials((pem,)))
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("the private key must be one for RSA")
    return key


def _p256(pem: bytes | None) -> EllipticCurvePrivateKey:
    key = generate_private_key(SECP256R1()) if pem is None else private_key(Credentials((pem,)))
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("the private key must be one for ECDSA on the curve P-256")
    return key


def _ed25519(pem: bytes | None) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate() if pem is None else private_key(Credentials((pem,)))
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("the private key must be one for Ed25519")
    return key


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _public_pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _number(number: int, length: int) -> str:
    return base64url(number.to_bytes(length)).decode()


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
