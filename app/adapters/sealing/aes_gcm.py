"""Sealing by AES-256-GCM, under keys that are given by reference.

Sealed is a random nonce of 96 bits, the ciphertext, and a tag of 128 bits. Random nonces are safe for four thousand
million secrets a key. Purpose, owner and key id are authenticated as well, so that a row put in the place of another
one's does not open. The id of a key is made of the key by HMAC, so it need not be configured and tells nothing of it.
"""

import base64
import binascii
import hmac
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.core.domain.errors import NoSealKey, NotOpened, SecretMissing
from app.core.domain.sealed import Sealed
from app.core.ports.sealing import Sealing
from app.core.ports.secret_store import SecretStore

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SETTING = "OPSCONNECT_SEAL_KEY"
KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16

_HEX = re.compile(rb"[0-9A-Fa-f]{64}")
_HOW = "32 random bytes as hexadecimal digits or in Base64; 'openssl rand -hex 32' makes one"


class AesGcmSealing(Sealing):
    """Seals with the first key, opens with the one that sealed."""

    def __init__(self, references: Sequence[str], keys: SecretStore) -> None:
        """Take references to keys (none: nothing can be sealed) and the store that resolves them."""
        self._references = references
        self._keys = keys

    async def seal(self, secret: bytes, *, purpose: str, owner: str) -> Sealed:
        """Encrypt with the first key under a nonce of its own."""
        if not self._references:
            raise _no_key()
        key_id, cipher = await self._key(self._references[0])
        nonce = os.urandom(NONCE_BYTES)
        return Sealed(key_id, nonce + cipher.encrypt(nonce, secret, _bound_to(purpose, owner, key_id)))

    async def open(self, sealed: Sealed, *, purpose: str, owner: str) -> bytes:
        """Look for the key by its id, and decrypt."""
        if not self._references:
            raise _no_key()
        missing = []
        for reference in self._references:
            try:
                key_id, cipher = await self._key(reference)
            except NoSealKey as error:
                missing.append(f"; {error}")
                continue
            if key_id == sealed.key_id:
                return _opened(cipher, sealed, purpose, owner)
        raise NotOpened(
            f"a {purpose} secret of {owner} was sealed with key {sealed.key_id}, "
            f"which is none of {SETTING}{''.join(missing)}"
        )

    async def _key(self, reference: str) -> "tuple[str, AESGCM]":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # takes longer to load than most commands run

        try:
            key = _decoded(await self._keys.resolve(reference))
        except SecretMissing as error:
            raise NoSealKey(f"{SETTING}: {error}") from error
        if key is None:
            raise NoSealKey(f"{SETTING}: what {reference} holds is no key: {_HOW}")
        return hmac.digest(key, b"opsconnect seal key id", "sha256")[:8].hex(), AESGCM(key)


def _no_key() -> NoSealKey:
    return NoSealKey(
        f"{SETTING} is not set, so no secret can be kept: let it name a key (env:NAME or file:PATH): {_HOW}"
    )


def _decoded(text: bytes) -> bytes | None:
    """Give the key that a text says; None: it says none."""
    text = text.strip()
    if _HEX.fullmatch(text):
        return bytes.fromhex(text.decode())
    try:
        key = base64.b64decode(text.replace(b"-", b"+").replace(b"_", b"/"), validate=True)
    except binascii.Error:
        return None
    return key if len(key) == KEY_BYTES else None


def _bound_to(*parts: str) -> bytes:
    """Write parts so that no others are written alike."""
    written = [part.encode() for part in ("opsconnect sealed 1", *parts)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in written)


def _opened(cipher: "AESGCM", sealed: Sealed, purpose: str, owner: str) -> bytes:
    from cryptography.exceptions import InvalidTag

    if len(sealed.content) >= NONCE_BYTES + TAG_BYTES:
        nonce, rest = sealed.content[:NONCE_BYTES], sealed.content[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, rest, _bound_to(purpose, owner, sealed.key_id))
        except InvalidTag:
            pass
    raise NotOpened(f"a {purpose} secret of {owner} is not as it was sealed: it was changed, or belongs elsewhere")
