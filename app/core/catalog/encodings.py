"""Between the texts that people paste or senders write, and the bytes that they mean."""

import binascii
import unicodedata
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping

from app.core.catalog.provider import Encoding, SecretText

_FROM_URLSAFE = bytes.maketrans(b"-_", b"+/")


def _base64(text: bytes) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)


def _base64url(text: bytes) -> bytes:
    """Padding is left out by whoever writes this, and tolerated."""
    bare = text.rstrip(b"=").translate(_FROM_URLSAFE)
    return binascii.a2b_base64(bare + b"=" * (-len(bare) % 4), strict_mode=True)


DECODERS: Mapping[Encoding, Callable[[bytes], bytes]] = {
    "hex": binascii.unhexlify,
    "base64": _base64,
    "base64url": _base64url,
}
"""From a signature as text to its bytes. Each raises `ValueError` for what is no such text, whatever it is."""

ENCODERS: Mapping[Encoding, Callable[[bytes], bytes]] = {
    "hex": binascii.hexlify,
    "base64": b64encode,
    "base64url": lambda raw: urlsafe_b64encode(raw).rstrip(b"="),
}
"""The other way round."""


def secret_key(kind: SecretText, text: bytes, suffix: str = "") -> bytes:
    """Decode a secret as its provider means it. Raises `ValueError`, without a word of the secret, where it is not so.

    A secret that is empty in the end is refused: with it anybody could sign.
    """
    try:
        key = _KEYS[kind](text)
    except ValueError:
        raise ValueError(f"it is not {_MEANT[kind]}") from None
    if not key:
        raise ValueError("it is empty")
    return key + suffix.encode()


def _nfkd(text: bytes) -> bytes:
    return unicodedata.normalize("NFKD", text.decode()).encode()


def _whsec(text: bytes) -> bytes:
    # Unpadded ones are in use, and both alphabets.
    return _base64url(text.strip().removeprefix(b"v1,").removeprefix(b"whsec_"))


def _whsec_or_text(text: bytes) -> bytes:
    return _whsec(text) if text.startswith(b"whsec_") else text


_KEYS: Mapping[SecretText, Callable[[bytes], bytes]] = {
    "text": lambda text: text,
    "nfkd": _nfkd,
    "hex": lambda text: binascii.unhexlify(text.strip()),
    "base64": lambda text: _base64(text.strip()),
    "whsec": _whsec,
    "whsec or text": _whsec_or_text,
}
_MEANT: Mapping[SecretText, str] = {
    "text": "text",
    "nfkd": "text in UTF-8",
    "hex": "hexadecimal",
    "base64": "Base64",
    "whsec": "Base64, with or without whsec_ before it",
    "whsec or text": "Base64 after whsec_",
}
