"""The address of a call: the connection's, with a path and a query added that cannot lead away from it."""

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote, urlencode

from app.core.domain.connector import Json
from app.core.domain.errors import Fault, Invalid
from app.core.domain.outgoing import LONGEST_URL

_STRAY = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MOST_DECODINGS = 3
"""As often as servers in a row may decode a path before one of them goes by it."""


def joined(base_url: str, path: str | None, query: Json) -> str:
    """Give the whole address. Raises `Invalid` for a path or a query that could lead elsewhere, or be read in two ways.

    A path often holds an id that a stranger has chosen: whatever it is, the host stays the connection's, and so does
    the path of the base. What is not written as %XX is encoded; what is, is left alone.
    """
    base, _, fixed = base_url.partition("?")
    if path:
        if fault := f"must have at most {LONGEST_URL} characters" if len(path) > LONGEST_URL else _path_fault(path):
            raise Invalid([Fault("path", fault)])
        base = base.rstrip("/") + _STRAY.sub("%25", quote(path, safe="/%:@!$&'()*+,;=~"))
    try:
        added = urlencode(list(_pairs(query)), quote_via=quote, safe="")
    except UnicodeEncodeError:
        raise Invalid([Fault("query", "holds half a character, which no address can hold")]) from None
    question = "&".join(text for text in (fixed, added) if text)
    return f"{base}?{question}" if question else base


def _path_fault(path: str) -> str | None:
    if not path.startswith("/") or not path.isprintable() or "\\" in path:
        return "must begin with / and hold no backslash, line break or the like; the host is the connection's"
    if "?" in path or "#" in path:
        return "must hold neither ? nor #: what is asked belongs into query, and a sign that is meant is written as %3F"
    plain = path
    for _ in range(_MOST_DECODINGS):
        plain = unquote(plain)
    if unquote(plain) != plain:
        return "is encoded more often than anybody decodes it"
    if plain.startswith(("//", "/\\")):
        return "must begin with one /, or it would be read as a host"
    # Some servers pass over what follows a semicolon, and go up all the same.
    if any(segment.partition(";")[0] in {".", ".."} for segment in re.split(r"[/\\]", plain)):
        return "must not go up or stay with . or .., written in whatever way"
    return None


def _pairs(query: Json) -> Iterator[tuple[str, str]]:
    """Give names with values; a list says a name several times, null not at all."""
    if not isinstance(query, dict):
        raise Invalid([Fault("query", "must be a mapping of names to texts, numbers, or lists of them")])
    for name, value in query.items():
        for each in value if isinstance(value, list) else [value]:
            if (text := _text(each)) is not None:
                yield str(name), text


def _text(value: Json) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, str):
        return value
    try:
        if isinstance(value, int | float):
            return str(value)
    except ValueError:  # too long for Python to write
        pass
    raise Invalid([Fault("query", "must have texts and numbers as its values, or lists of them")])
