"""A connection as the column `spec` holds it, written so that an older or newer version of OpsConnect can read it.

A field that this version does not know is passed over. Settings are JSON of people, integers of any size included,
so they go through the standard library's `json`, and the column keeps the text as it is.
"""

import json
from typing import Any

from app.adapters.postgres.source_spec import NotUnderstood
from app.core.domain.connection import Connection


def written(connection: Connection) -> str:
    """Write a connection as JSON."""
    spec: dict[str, Any] = {
        "name": connection.name,
        "connector": connection.connector,
        "settings": dict(connection.settings),
        "secrets": dict(connection.secrets),
        "allow_private": connection.allow_private,
    }
    return json.dumps(spec, allow_nan=False)  # in ASCII: a text may hold half of a character


def read(text: str) -> Connection:
    """Read what `written` wrote, here or in another version. Raises `NotUnderstood`."""
    try:
        spec = json.loads(text)
        return Connection(
            name=_text(spec["name"]),
            connector=_text(spec["connector"]),
            settings=_mapping(spec["settings"]),
            secrets=tuple((name, _text(reference)) for name, reference in _mapping(spec["secrets"]).items()),
            allow_private=tuple(map(_text, spec["allow_private"])),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise NotUnderstood(f"{type(error).__name__}: {error}") from error


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("something else where a mapping was")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("something else where a text was")
    return value
