"""Credentials as people write them beside a request, brought into the one shape that every scheme takes."""

import json
from collections.abc import Mapping
from typing import Any

from app.core.catalog.handshakes import credentials_of_challenge
from app.core.catalog.proof import Credentials

KEY_ID = "kid:"
"""What a key's id stands behind in `Credentials.keys`."""

_BOX = ("primary", "secondary")
_SETTINGS = frozenset({"audience", "bundle_id", "cert_pem", "email", "jwks", "root_der_b64", "webhook_id"})


def credentials_of(
    provider: str, secret: Any = None, key: Any = None, config: Mapping[str, Any] | None = None
) -> Credentials:
    """Bring together what there is. Raises `ValueError`, without a word of it, for what has no shape that is known.

    `secret`: a text, a list of texts while one is being rotated, or an object of named parts (Braintree, Box).
    `key`: the text of a public key or a certificate, which stands where secrets stand; an object of keys by their ids;
    or an object of settings. `config`: the provider's own words; its secrets count where neither other is there.
    """
    settings: dict[str, str] = {}
    keys: dict[str, bytes] = {}
    secrets = _secrets(secret, settings)
    if isinstance(key, str):
        secrets.append(_bytes(key))
    elif isinstance(key, dict):
        for name, value in key.items():
            if name in _SETTINGS:
                settings[name] = _text(value)
            else:
                keys[KEY_ID + name] = _bytes(_text(value))
    elif key is not None:
        raise ValueError("key must be a text or an object")
    if config:
        configured = credentials_of_challenge(provider, config)
        settings = {**configured.settings, **settings}
        secrets = secrets or list(configured.secrets)
    return Credentials(tuple(secrets), settings, keys)


def _secrets(secret: Any, settings: dict[str, str]) -> list[bytes]:
    if secret is None:
        return []
    if isinstance(secret, dict):
        settings.update({name: _text(value) for name, value in secret.items() if name not in {"private_key", *_BOX}})
        # Each of Box's two headers has a key of its own, so a missing one leaves its place empty.
        names = ("private_key",) if "private_key" in secret else _BOX
        return [_bytes(_text(secret.get(name) or "")) for name in names]
    texts = secret if isinstance(secret, list) else [secret]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("secret must be a text, a list of texts or an object")
    return [_bytes(text) for text in texts]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
