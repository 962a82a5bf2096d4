"""The documents that providers publish their keys in: a set of JSON Web Keys, or one key by itself."""

from collections.abc import Callable, Mapping
from typing import Any

from app.core.catalog.proof import Credentials
from app.core.catalog.schemes.keys import Key, PublicKey, from_jwk, public_key
from app.core.catalog.schemes.refused import Refused
from app.core.domain.body import Readable, Unreadable, read_json

MOST_KEYS = 100


class KeySet:
    """Keys by their id, each parsed when it is first asked for.

    Takes a JWK Set (`{"keys": [...]}`) and a plain object of keys by id; raises `ValueError` for anything else.
    """

    def __init__(self, document: bytes) -> None:
        parsed = read_json(document)
        found = parsed.value if isinstance(parsed, Readable) else None
        listed = found.get("keys") if isinstance(found, dict) else None
        if isinstance(listed, list):
            found = {str(jwk.get("kid", number)): jwk for number, jwk in enumerate(listed) if isinstance(jwk, dict)}
        if not isinstance(found, dict) or len(found) > MOST_KEYS:
            raise ValueError("this is no JSON Web Key Set")
        self._jwks: dict[str, Any] = found
        self._keys: dict[str, PublicKey] = {}

    def key(self, name: str) -> PublicKey:
        """Give the key of this id."""
        if name not in self._keys:
            jwk = self._jwks.get(name)
            if not isinstance(jwk, Mapping):
                raise Refused("key_unknown", "the key set has no key of this id")
            try:
                self._keys[name] = from_jwk(jwk)
            except ValueError as error:
                raise Refused("key_unknown", f"the key of this id in the key set cannot be used: {error}") from None
        return self._keys[name]

    def all(self) -> list[PublicKey]:
        """Give every key that can be used."""
        keys = []
        for name in self._jwks:
            try:
                keys.append(self.key(name))
            except Refused:
                continue
        return keys


def key_set(credentials: Credentials, url: str) -> KeySet | None:
    """Give the keys: the setting `jwks`, else what was fetched; None: they have yet to be fetched."""
    pinned = credentials.settings.get("jwks")
    if pinned is not None:
        return KeySet(pinned.encode())
    fetched = credentials.keys.get(url)
    try:
        return None if fetched is None else KeySet(fetched)
    except ValueError:
        return KeySet(b"{}")  # what was fetched is no fault of the configuration: it knows no key


def document_of(credentials: Credentials, name: str, url: str) -> bytes | None:
    """Find the key of an id as it is published: given by its id, else fetched from its address; None: not yet."""
    return credentials.keys.get(f"kid:{name}", credentials.keys.get(url))


def usable(document: bytes, kind: Callable[[PublicKey], Key]) -> Key:
    """Read a published key that must be of one kind (`as_rsa`, `as_p256`)."""
    try:
        return kind(key_document(document))
    except ValueError as error:
        raise Refused("key_unknown", f"the key that was given or fetched cannot be used: {error}") from None


def key_document(document: bytes) -> PublicKey:
    """Read one key as it is published: PEM, a JWK, or a JSON object with either in `key` or in `data.public_key`."""
    parsed = read_json(document)
    if isinstance(parsed, Unreadable):
        return public_key(document)
    found = parsed.value
    for name in ("data", "key", "public_key"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    if isinstance(found, str):
        return public_key(found.encode("ascii", "replace"))
    if isinstance(found, dict):
        return from_jwk(found)
    raise ValueError("this holds no key")
