"""When two versions of a connection are the same, and what differs between them as a person writes it."""

import json
import re
from collections.abc import Iterator, Mapping

from app.core.domain.connection import Connection
from app.core.domain.connector import Json
from app.core.domain.difference import Difference, compared

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def is_same(one: Connection, other: Connection) -> bool:
    """Tell whether two versions say the same. To Python 1, 1.0 and True are equal; to a connector they are not."""
    return one == other and _exact(one.settings) == _exact(other.settings)


def differences(old: Connection, new: Connection) -> tuple[Difference, ...]:
    """Compare two versions field by field. Secrets are references, so they may be shown."""
    return compared(written(old), written(new))


def written(connection: Connection) -> dict[str, str]:
    """Write a connection as a person would, a field for each setting however deep, without what is not given."""
    return {
        "connector": connection.connector,
        **dict(_fields("settings", connection.settings)),
        **{f"secrets.{name}": reference for name, reference in connection.secrets},
        **({"allow_private": ", ".join(connection.allow_private)} if connection.allow_private else {}),
    }


def _fields(place: str, value: Json) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield place, _exact(value)
    elif not value and place != "settings":
        yield place, "{}"
    else:
        for key, inner in value.items():
            yield from _fields(f"{place}.{key if _PLAIN.fullmatch(key) else _exact(key)}", inner)


def _exact(value: Json) -> str:
    """Write a value as JSON, the same for the same value alone, and without what a terminal would obey."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if text.isprintable() else json.dumps(value, sort_keys=True)
