"""Codes made with a shared secret (HMAC), compared as bytes and in constant time."""

import hmac
from collections.abc import Sequence

from app.core.catalog.proof import Credentials
from app.core.catalog.schemes.refused import Refused


def secrets_of(credentials: Credentials) -> tuple[bytes, ...]:
    """Give the secrets, of which there must be one, and none empty: an empty one would let everybody sign."""
    if not credentials.secrets or not all(credentials.secrets):
        raise ValueError("a secret is missing or empty")
    return credentials.secrets


def setting(credentials: Credentials, name: str) -> str:
    """Give a setting that the scheme cannot do without."""
    value = credentials.settings.get(name)
    if not value:
        raise ValueError(f"the setting {name} is missing")
    return value


def matching(secrets: Sequence[bytes], digest: str, texts: Sequence[bytes], codes: Sequence[bytes]) -> int:
    """Give the number of the first secret under which one of the texts has one of the codes; 0: none has."""
    for number, secret in enumerate(secrets, start=1):
        for text in texts:
            made = hmac.digest(secret, text, digest)
            if any(hmac.compare_digest(made, code) for code in codes):
                return number
    return 0


def same(given: bytes, expected: bytes) -> bool:
    """Compare two texts in time that does not depend on where they differ."""
    return hmac.compare_digest(given, expected)


def same_text(secrets: Sequence[bytes], given: bytes) -> int:
    """Give the number of the secret that is this very text; 0: none is."""
    return next((number for number, secret in enumerate(secrets, start=1) if same(given, secret)), 0)


def required(number: int, how_many: int, what: str, over: str) -> int:
    """Give the number of the secret that matched, or refuse."""
    if not number:
        raise mismatch(how_many, what, over)
    return number


def mismatch(how_many: int, what: str, over: str) -> Refused:
    """Say that a signature fits none of the secrets or keys."""
    return Refused("signature_mismatch", f"{what} fits none of the {how_many} secrets or keys over {over}")
