"""A source as the column `spec` holds it, written so that an older or newer version of OpsConnect can read it.

A field that this version does not know is passed over. But how a source verifies and what identifies a delivery must
be understood whole: guessed wrong, they would let forged events in or drop genuine ones as duplicates. So `verify` is
always written, the word `none` included, and a row that says it in any other way than we do is `NotUnderstood`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import orjson

from app.core.domain.source import DIGEST, ListedScheme, OwnScheme, Place, Source

_FIRST = "hmac-sha256"


class NotUnderstood(Exception):
    """A version of OpsConnect that is not ours wrote this row."""


def written(source: Source) -> str:
    """Write a source as JSON; the same source always gives the same text."""
    spec: dict[str, Any] = {
        "name": source.name,
        "provider": source.provider,
        "verify": _verify(source.verify),
        "secrets": source.secrets,
        "expiries": {reference: moment.isoformat() for reference, moment in source.expiries},
        "tolerance_seconds": source.tolerance_seconds,
        "settings": dict(source.settings),
        "delivery_key": str(source.delivery_key) if source.delivery_key else None,
        "type": str(source.type) if source.type else None,
        "schema": source.schema,
        "body_limit_bytes": source.body_limit_bytes,
        "rate_per_second": source.rate_per_second,
        "public_url": source.public_url,
        "run": source.run,
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
            expiries=tuple((name, datetime.fromisoformat(at)) for name, at in spec.get("expiries", {}).items()),
            tolerance_seconds=spec.get("tolerance_seconds"),
            settings=tuple(_settings(spec.get("settings", {}))),
            delivery_key=_place(spec["delivery_key"]) if spec["delivery_key"] is not None else None,
            type=_place(spec["type"]) if spec.get("type") else None,
            schema=spec.get("schema"),
            body_limit_bytes=spec.get("body_limit_bytes"),
            rate_per_second=spec.get("rate_per_second"),
            public_url=spec.get("public_url"),
            run=_run(spec.get("run")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotUnderstood(f"{type(error).__name__}: {error}") from error


def _verify(verify: ListedScheme | OwnScheme | None) -> str | dict[str, Any]:
    if verify is None:
        return "none"
    return {"listed": verify.name} if isinstance(verify, ListedScheme) else {"own": verify.words}


def _scheme(spec: Any) -> ListedScheme | OwnScheme | None:
    if spec == "none":
        return None
    if spec.keys() == {"listed"} and (spec["listed"] is None or isinstance(spec["listed"], str)):
        return ListedScheme(spec["listed"])
    if spec.keys() == {"own"} and isinstance(spec["own"], dict):
        return OwnScheme.of(**spec["own"])
    # As the first version wrote the only scheme that it knew.
    known = spec.keys() == {"scheme", "header", "prefix", "encoding"}
    if not known or spec["scheme"] != _FIRST or spec["encoding"] not in {"hex", "base64"}:
        raise ValueError("another way to verify")
    return OwnScheme.of(header=spec["header"], prefix=spec["prefix"], encoding=spec["encoding"])


def _run(spec: Any) -> str | None:
    if spec is not None and not isinstance(spec, str):
        raise ValueError("another way to run something")
    return spec


def _settings(spec: Any) -> Iterable[tuple[str, str]]:
    for name, value in spec.items():
        if not isinstance(value, str):
            raise ValueError("a setting that is no text")
        yield name, value


def _place(text: str) -> Place:
    if text == "digest":
        return DIGEST
    kind, _, name = text.partition(":")
    if kind == "header" and name:
        return Place("header", name)
    if kind == "body" and name:
        return Place("body", name)
    raise ValueError("another kind of place")
