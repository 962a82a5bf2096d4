"""Private keys, of which the first secret of the signing side is one, in PEM."""

from collections.abc import Callable
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.core.catalog.proof import Credentials
from app.core.catalog.schemes.mac import secrets_of

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey
MakeSignature = Callable[[bytes], bytes]


def private_key(credentials: Credentials) -> PrivateKey:
    """Read the private key. Raises `ValueError`, without a word of it, for what is none."""
    return _read(secrets_of(credentials)[0])


@lru_cache(maxsize=8)  # an RSA key is checked while it is read, which takes a hundred times as long as to sign with it
def _read(pem: bytes) -> PrivateKey:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # no PEM, a password, a kind that is not known
        raise ValueError("this is no private key in PEM that can be read without a password") from None
    if isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey):
        return key
    raise ValueError("this private key is neither RSA nor ECDSA nor Ed25519")


def signature(credentials: Credentials, text: bytes, digest: HashAlgorithm | None = None) -> bytes:
    """Sign as keys of this kind do: PKCS#1 v1.5, ECDSA in DER, or Ed25519."""
    key = private_key(credentials)
    if isinstance(key, RSAPrivateKey):
        return key.sign(text, PKCS1v15(), digest or SHA256())
    if isinstance(key, EllipticCurvePrivateKey):
        return key.sign(text, ECDSA(digest or SHA256()))
    return key.sign(text)


def rs256(credentials: Credentials) -> MakeSignature:
    """Sign tokens with an RSA key."""
    return lambda text: signature(credentials, text)


def es256(credentials: Credentials) -> MakeSignature:
    """Sign tokens with a key on P-256: two numbers of 32 bytes."""

    def sign(text: bytes) -> bytes:
        return b"".join(number.to_bytes(32) for number in decode_dss_signature(signature(credentials, text)))

    return sign
