"""Where a request says when it was signed, and whether that is fresh."""

from collections.abc import Callable

from app.core.catalog.proof import Freshness, NotGenuine, SignedRequest
from app.core.catalog.provider import Timestamp
from app.core.catalog.template import header_of
from app.core.catalog.timestamps import READERS, judge
from app.core.domain.body import Readable, read_json

Stamp = Callable[[SignedRequest], bytes | NotGenuine]
Ageing = Callable[[SignedRequest, bytes, float], NotGenuine | None]
"""(request, timestamp as text or empty, now) → why it is too old, or None."""


def stamp_of(timestamp: Timestamp | None) -> Stamp:
    """Give what finds the text of the timestamp wherever it does not stand beside the signature."""
    if timestamp is None or timestamp.place == "item":
        return lambda _request: _missing(timestamp)
    return (_in_body if timestamp.place == "body" else _in_header)(timestamp)


def ageing(timestamp: Timestamp | None, freshness: Freshness) -> Ageing | None:
    """Give what judges the age; None where nothing is judged."""
    if timestamp is None or freshness.tolerance_seconds is None:
        return None
    find, clock, what = stamp_of(timestamp), READERS[timestamp.unit], _name(timestamp)

    def judged(request: SignedRequest, stamp: bytes, now: float) -> NotGenuine | None:
        text = stamp or find(request)
        return text if isinstance(text, NotGenuine) else judge(freshness, now, what, clock, text)

    return judged


def _in_header(timestamp: Timestamp) -> Stamp:
    names = [name.encode() for name in timestamp.name.lower().split("|")]

    def find(request: SignedRequest) -> bytes | NotGenuine:
        found = header_of(request, names)
        if found is None:
            return _missing(timestamp)
        return found if isinstance(found, NotGenuine) else found[1]

    return find


def _in_body(timestamp: Timestamp) -> Stamp:
    def find(request: SignedRequest) -> bytes | NotGenuine:
        content = read_json(request.body)
        if not isinstance(content, Readable) or not isinstance(content.value, dict):
            return _missing(timestamp)
        value = content.value.get(timestamp.name)
        if value is None:
            return _missing(timestamp)
        # True is an integer to Python, and no time to anybody.
        return str(value).encode() if isinstance(value, int) and not isinstance(value, bool) else b"-"

    return find


def _missing(timestamp: Timestamp | None) -> NotGenuine:
    return NotGenuine("timestamp_missing", f"no {_name(timestamp)}" if timestamp else "no timestamp")


def _name(timestamp: Timestamp) -> str:
    return {"header": "header ", "item": "item ", "body": "field "}[timestamp.place] + timestamp.name
