"""Which delivery a request is, and of what type, by its provider's row. Asked after the signature, never before."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any, NamedTuple

import jmespath
from jmespath.exceptions import JMESPathError

from app.core.catalog.content import NOTHING, Content, claims_of, content_of
from app.core.catalog.proof import SignedRequest
from app.core.catalog.provider import Delivery, Place, Text
from app.core.domain.delivery_key import as_id

_NAMES = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")


class Identity(NamedTuple):
    """What a request says of itself."""

    delivery_id: bytes | None
    """As the provider gives it; None: it gives none, and the body's digest stands in."""
    event_type: bytes | None
    key: bytes | None
    """What makes the delivery key: the id, and where that is only an entity's or the first item's what tells its
    deliveries apart. None: the body's digest."""
    unreadable: str | None = None
    """Why the body, which claims to be JSON or a form, cannot be read."""


Identifier = Callable[[SignedRequest], Identity]


class _Reader:
    """Reads places of one request; the body is parsed when the first place in it is asked for, once."""

    def __init__(self, request: SignedRequest, how: str) -> None:
        self._request = request
        self._how = how
        self._content: Content | None = None

    @property
    def content(self) -> Content:
        if self._content is None:
            self._content = content_of(self._request, self._how) if self._request.body else NOTHING
        return self._content

    @property
    def unreadable(self) -> str | None:
        return self._content.unreadable if self._content else None

    def first(self, ways: Sequence[Text]) -> bytes | None:
        """Give the first of several texts that is there."""
        return next((text for text in map(self._text, ways) if text), None)

    def all(self, ways: Sequence[Text]) -> list[bytes]:
        """Give those of several texts that are there."""
        return [text for text in map(self._text, ways) if text]

    def _text(self, way: Text) -> bytes | None:
        parts = [part.encode() if isinstance(part, str) else self._at(part) for part in way]
        return b"".join(part for part in parts if part) if all(parts) else None

    def _at(self, place: Place) -> bytes | None:
        if place.kind == "body":
            return as_id(search(place.name, self.content.value))
        header, _, claim = place.name.lower().partition(":") if place.kind == "header" else place.name.partition(":")
        values = self._request.values(header.lower().encode())
        if not values:
            return None
        return as_id(claims_of(values[0]).get(claim)) if claim else values[0] or None


def identifier(delivery: Delivery) -> Identifier:
    """Make a provider's row ready to say which delivery a request is. Never raises, whatever stands in the request."""
    id_name, type_name = _one_header(delivery.id), _one_header(delivery.type)
    if delivery.distinct_by or delivery.whole_body or id_name is None or type_name is None:
        return partial(identify, delivery)

    def by_headers(request: SignedRequest) -> Identity:
        """Nothing of the body is needed, and a look through the headers is enough."""
        found = request.first(id_name) if id_name else None
        return Identity(found, request.first(type_name) if type_name else None, found)

    return by_headers


def _one_header(ways: Sequence[Text]) -> bytes | None:
    """Give the header that alone tells; empty where nothing does, None where there is more to it."""
    if not ways:
        return b""
    if len(ways) > 1 or len(ways[0]) > 1:
        return None
    place = ways[0][0]
    return place.name.encode() if isinstance(place, Place) and place.kind == "header" else None


def identify(delivery: Delivery, request: SignedRequest) -> Identity:
    """Say which delivery a request is. Never raises, whatever stands in the request."""
    reader = _Reader(request, delivery.content)
    delivery_id = reader.first(delivery.id)
    event_type = reader.first(delivery.type)
    return Identity(delivery_id, event_type, _key(reader, delivery, request, delivery_id), reader.unreadable)


def _key(reader: _Reader, delivery: Delivery, request: SignedRequest, delivery_id: bytes | None) -> bytes | None:
    if delivery_id is None or delivery.whole_body:
        return None
    if not delivery.distinct_by:
        return delivery_id
    also = reader.all(delivery.distinct_by) or [sha256(request.body).hexdigest().encode()]
    return b"\0".join([delivery_id, *also])


def search(path: str, content: Any) -> Any:
    """Give what stands at a path of the catalogue in a content; None where there is nothing. Never raises."""
    if content is None:
        return None
    try:
        return _compiled(path)(content)
    except (JMESPathError, RecursionError, TypeError, ValueError):
        return None  # a content of another shape than the path expects holds nothing there


@lru_cache(maxsize=4096)
def _compiled(path: str) -> Callable[[Any], Any]:
    """Make a path ready. Paths come from the catalogue and from sources, so there are only so many."""
    if not _NAMES.fullmatch(path):
        return jmespath.compile(path).search
    names = path.split(".")

    def follow(content: Any) -> Any:
        """Most paths are names alone, for which JMESPath's interpreter takes twenty times as long."""
        for name in names:
            content = content.get(name) if isinstance(content, dict) else None
        return content

    return follow
