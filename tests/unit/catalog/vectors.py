"""The signed requests of `tests/vectors`, as the schemes take them."""

import base64
import json
from pathlib import Path
from typing import Any

from app.core.catalog.proof import Credentials, Freshness, SignedRequest

FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS: list[dict[str, Any]] = json.loads((FOLDER / "vectors.json").read_text())
HANDSHAKES: list[dict[str, Any]] = json.loads((FOLDER / "handshakes.json").read_text())


def request_of(vector: dict[str, Any]) -> SignedRequest:
    headers = tuple((name.lower().encode(), value.encode("latin-1")) for name, value in vector["headers"].items())
    return SignedRequest(vector["method"], vector["url"], headers, base64.b64decode(vector["body_b64"]))


def freshness_of(vector: dict[str, Any]) -> Freshness:
    return Freshness(vector.get("tolerance_s"))


def credentials_of(vector: dict[str, Any]) -> Credentials:
    """Secrets and keys in the shapes that PROVIDERS gives them: a text, a list, two keys, settings, keys by id."""
    secret, key = vector["secret"], vector["key"]
    match vector["scheme"]:
        case "braintree":
            return Credentials((secret["private_key"].encode(),), {"public_key": secret["public_key"]})
        case "box":
            return Credentials((secret.get("primary", "").encode(), secret.get("secondary", "").encode()))
        case "apple_jws" | "paypal" | "google_oidc":
            return Credentials((), {name: text(value) for name, value in key.items()})
        case "ebay" | "plaid":
            return Credentials(keys={f"kid:{name}": text(value).encode() for name, value in key.items()})
    texts = secret if secret is not None else key
    return Credentials(tuple(each.encode() for each in (texts if isinstance(texts, list) else [texts])))


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
