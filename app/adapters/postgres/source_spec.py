"""A source as the column `spec` holds it, written so that an older or newer version of OpsConnect can read it.

A field that this version does not know is passed over. But how a source verifies and what identifies a delivery must
be understood whole: guessed wrong, they would let forged events in or drop genuine ones as duplicates. So `verify` is
always written, the word `none` included, and a row that says it in any other way than we do is `NotUnderstood`.
"""

from typing import Any

import orjson

from app.core.domain.source import DIGEST, HmacScheme, Place, Source

_SCHEME = "hmac-sha256"


class NotUnderstood(Exception):
    """A version of OpsConnect that is not ours wrote this row."""


def written(source: Source) -> str:
    """Write a source as JSON; the same source always gives the same text."""
    spec: dict[str, Any] = {
        "name": source.name,
        "provider": source.provider,
        "verify": "none",
        "secrets": source.secrets,
        "delivery_key": str(source.delivery_key),
        "type": str(source.type) if source.type else None,
        "body_limit_bytes": source.body_limit_bytes,
        "rate_per_second": source.rate_per_second,
        "public_url": source.public_url,
    }
    if source.verify is not None:
        scheme = source.verify
        spec["verify"] = {
            "scheme": _SCHEME,
            "header": scheme.header,
            "prefix": scheme.prefix,
            "encoding": scheme.encoding,
        }
    return orjson.dumps(spec).decode()


def read(text: str) -> Source:
    """Read what `written` wrote, here or in another version. Raises `NotUnderstood`."""
    try:
        spec = orjson.loads(text)
        return Source(
            name=spec["name"],
            provider=spec["provider"],
            verify=_scheme(spec["verify"]),
            secrets=tuple(spec["secrets"]),
            delivery_key=_place(spec["delivery_key"]),
            type=_place(spec["type"]) if spec.get("type") else None,
            body_limit_bytes=spec.get("body_limit_bytes"),
            rate_per_second=spec.get("rate_per_second"),
            public_url=spec.get("public_url"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotUnderstood(f"{type(error).__name__}: {error}") from error


def _scheme(spec: Any) -> HmacScheme | None:
    if spec == "none":
        return None
    known = spec.keys() == {"scheme", "header", "prefix", "encoding"}
    if not known or spec["scheme"] != _SCHEME or spec["encoding"] not in {"hex", "base64"}:
        raise ValueError("another way to verify")
    return HmacScheme(spec["header"], spec["prefix"], spec["encoding"])


def _place(text: str) -> Place:
    if text == "digest":
        return DIGEST
    kind, _, name = text.partition(":")
    if kind == "header" and name:
        return Place("header", name)
    if kind == "body" and name:
        return Place("body", name)
    raise ValueError("another kind of place")
