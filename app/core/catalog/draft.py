"""A request that can still be changed, at the places that a provider's row names."""

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from app.core.catalog.identification import search
from app.core.catalog.proof import SignedRequest
from app.core.catalog.provider import Place, Text
from app.core.domain.body import Readable, read_json
from app.core.domain.delivery_key import as_id

_STEP = re.compile(r'\.?(?:([A-Za-z_][A-Za-z0-9_]*)|"([^"\\]+)"|\[([0-9]{1,3})\])')
_FORM = b"application/x-www-form-urlencoded"
_MISSING = object()


class Draft:
    """Headers and body, taken apart: the body is JSON, a form, JSON in a field of a form, or XML."""

    def __init__(self, request: SignedRequest, content: str = "") -> None:
        """`content` is what the provider's row says of the body (`Delivery.content`)."""
        self._request = request
        self._tree: Any = None
        self._form: list[tuple[str, str]] = []
        self._field = ""
        self._xml = ""
        kind, _, field = content.partition(":")
        if any(value.lower().startswith(_FORM) for value in request.values(b"content-type")):
            self._form = parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
            self._field = field if kind == "form" and field in dict(self._form) else ""
        elif kind == "xml":
            self._xml = request.body.decode("utf-8", "replace")
        text = dict(self._form)[self._field].encode() if self._field else request.body
        if (self._field or not self._form) and isinstance(parsed := read_json(text), Readable):
            self._tree = parsed.value

    def text(self, way: Text) -> str | None:
        """Give what stands at the places of a way, put together; None where one of them is not there."""
        parts = [part if isinstance(part, str) else self.at(part) for part in way]
        return "".join(part for part in parts if part) if all(parts) else None

    def at(self, place: Place) -> str | None:
        """Give the text, or the number, that stands at a place."""
        if place.kind == "header":
            return next((value.decode("latin-1") for value in self._request.values(place.name.encode())), None)
        if self._xml:
            match = _element(place.name).search(self._xml)
            return match[3] if match else None
        found = as_id(search(place.name, dict(self._form) if self._tree is None else self._tree))
        return found.decode("utf-8", "replace") if found else None

    def takes(self, place: Place) -> bool:
        """Tell whether something can be put at a place."""
        if place.kind == "header":
            return True
        if place.kind != "body":
            return False
        if self._xml:
            return self.at(place) is not None
        steps = _steps(place.name)
        if self._tree is None:
            return len(steps) == 1 and bool(self._form)
        return bool(steps) and _holds(_followed(self._tree, steps[:-1]), steps[-1])

    def put(self, place: Place, text: str) -> None:
        """Put a text at a place that takes it."""
        if place.kind == "header":
            kept = [header for header in self._request.headers if header[0] != place.name.encode()]
            self._request = self._request._replace(headers=[*kept, (place.name.encode(), text.encode())])
        elif self._xml:
            self._xml = _element(place.name).sub(lambda match: match[1] + text + match[4], self._xml, count=1)
        elif self._tree is None:
            self._put_field(place.name, text)
        else:
            *path, last = _steps(place.name)
            _followed(self._tree, path)[last] = text

    def drop(self, place: Place) -> None:
        """Take away what stands at a place."""
        if place.kind == "header":
            kept = [header for header in self._request.headers if header[0] != place.name.encode()]
            self._request = self._request._replace(headers=kept)
        elif self._tree is None:
            self._form = [field for field in self._form if field[0] != place.name]
        elif (steps := _steps(place.name)) and isinstance(within := _followed(self._tree, steps[:-1]), dict):
            within.pop(steps[-1], None)

    def request(self) -> SignedRequest:
        """Put it together again; JSON and forms are written anew."""
        if self._xml:
            return self._request._replace(body=self._xml.encode())
        if self._field:
            self._put_field(self._field, _json(self._tree))
        if self._form:
            return self._request._replace(body=urlencode(self._form).encode())
        return (
            self._request
            if self._tree is None
            else self._request._replace(body=_json(self._tree).encode("utf-8", "surrogatepass"))
        )

    def _put_field(self, name: str, text: str) -> None:
        """Change the first field of this name, or add one."""
        number = next((number for number, field in enumerate(self._form) if field[0] == name), len(self._form))
        self._form[number : number + 1] = [(name, text)]


def _steps(path: str) -> Sequence[str | int]:
    """Take a path apart; nothing, if it is more than names and numbers. Of alternatives the first counts."""
    path, at, steps = path.partition(" || ")[0], 0, list[str | int]()
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            return []
        steps.append(int(match[3]) if match[3] else match[1] or match[2])
        at = match.end()
    return steps


def _followed(value: Any, steps: Sequence[str | int]) -> Any:
    for step in steps:
        if not _holds(value, step) or (isinstance(step, str) and step not in value):
            return _MISSING
        value = value[step]
    return value


def _holds(value: Any, step: str | int) -> bool:
    """Tell whether a step leads somewhere in a value, or could."""
    if isinstance(step, str):
        return isinstance(value, dict)
    return isinstance(value, list) and step < len(value)


def _element(name: str) -> re.Pattern[str]:
    """Find an element with text alone, bare or quoted as CDATA; its third group is the text."""
    start = rf"(<(?:[\w.-]+:)?{re.escape(name)}(?:\s[^<>]*)?>(<!\[CDATA\[)?)"
    return re.compile(rf"{start}([^<>\]]*)((?:\]\]>)?</)")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
