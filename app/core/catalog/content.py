"""What is in a request, however its provider wraps it: JSON, a form, JSON in a form, a token, XML. Never raises."""

import binascii
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from app.core.catalog.proof import SignedRequest
from app.core.domain.body import Opaque, Readable, Unreadable, read, read_json

LARGEST_XML_BYTES = 1_000_000
_LEAF = re.compile(
    r"<(?:[\w.-]{1,64}:)?([\w.-]{1,64})(?:\s[^<>]{0,1024})?>(?:<!\[CDATA\[([^\]]{0,4096})\]\]>|([^<>]{0,4096}))</"
)
_FROM_URLSAFE = bytes.maketrans(b"-_", b"+/")


class Content(NamedTuple):
    """What was read; the value is None where there is nothing to read, or nothing readable."""

    value: Any
    unreadable: str | None = None
    """Why a body that claims to be JSON or a form cannot be read."""


NOTHING = Content(None)


def content_of(request: SignedRequest, how: str = "") -> Content:
    """Read the body once: by its content type, or as JSON where that says nothing and it looks like JSON."""
    kinds = request.values(b"content-type")
    found = read(kinds[0].decode("latin-1") if kinds else None, request.body)
    if isinstance(found, Unreadable):
        return Content(None, found.reason)
    if isinstance(found, Opaque):
        # Amazon sends JSON as text/plain, and some senders say nothing at all.
        if request.body[:64].lstrip()[:1] not in {b"{", b"["}:
            return _unwrapped(how, request.body, None)
        found = read_json(request.body)
    return _unwrapped(how, request.body, found.value) if isinstance(found, Readable) else NOTHING


def claims_of(token: bytes) -> dict[str, Any]:
    """Give what a token claims. Whether it may be believed is the scheme's question, which was asked before."""
    parts = token.rpartition(b" ")[2].split(b".", 3)
    if len(parts) != 3:
        return {}
    text = parts[1].translate(_FROM_URLSAFE).rstrip(b"=")
    try:
        raw = binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        return {}
    content = read_json(raw)
    return content.value if isinstance(content, Readable) and isinstance(content.value, dict) else {}


def _unwrapped(how: str, body: bytes, value: Any) -> Content:
    """Take off what is around the content. Where the wrapping is not there, the content is as it stands."""
    if not how:
        return Content(value)
    if how == "xml":
        return Content(_leaves(body))
    kind, _, field = how.partition(":")
    inner = value.get(field) if isinstance(value, dict) else None
    unwrapped = _INNER[kind](inner.encode("utf-8", "surrogatepass")) if isinstance(inner, str) else None
    return Content(value if unwrapped is None else unwrapped)


def _json(text: bytes) -> Any:
    parsed = read_json(text)
    return parsed.value if isinstance(parsed, Readable) else None


def _base64_xml(text: bytes) -> dict[str, str] | None:
    try:
        return _leaves(binascii.a2b_base64(text))
    except ValueError:
        return None


def _leaves(xml: bytes) -> dict[str, str]:
    """Give the text of each element that has only text, by name without prefix; of several the first.

    No parser is asked: entities stay as they are, so there is nothing for a hostile document to expand or fetch.
    """
    found: dict[str, str] = {}
    for name, quoted, text in _LEAF.findall(xml[:LARGEST_XML_BYTES].decode("utf-8", "replace")):
        found.setdefault(name, quoted or text.strip())
    return found


_INNER: dict[str, Callable[[bytes], Any]] = {"form": _json, "jws": claims_of, "xml": _base64_xml}
