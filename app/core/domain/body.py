"""Reading what a provider sent, without ever failing on it: the answer is a value or the reason why there is none."""

import json
import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

DEEPEST_JSON = 64
_BRACKETS_OR_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)


class Readable(NamedTuple):
    """A parsed body: integers stay exact, of any size that Python reads."""

    value: Any


class Unreadable(NamedTuple):
    """Why a body that claims to be JSON or a form is not; short, without a word of its content."""

    reason: str


class Opaque(NamedTuple):
    """Nothing to parse: the body is empty or its content type promises no structure. Never a fault."""


def read(content_type: str | None, body: bytes) -> Readable | Unreadable | Opaque:
    """Parse a body by its content type: JSON (`application/json`, `…+json`) or a form; anything else is opaque."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if not body:
        return Opaque()
    if kind == "application/json" or kind.endswith("+json"):
        return read_json(body)
    if kind == "application/x-www-form-urlencoded":
        return _read_form(body)
    return Opaque()


def read_json(body: bytes) -> Readable | Unreadable:
    """Parse JSON as RFC 8259 has it: UTF-8 (a byte order mark is passed over), no NaN, at most 64 levels deep.

    The standard library's parser, because integers of providers must stay exact (orjson makes floats above 64 bits).
    """
    # Most bodies have fewer than 64 brackets in all, which the two counts show without a scan.
    if body.count(b"[") + body.count(b"{") > DEEPEST_JSON and _depth(body) > DEEPEST_JSON:
        return Unreadable(f"the JSON is nested deeper than {DEEPEST_JSON} levels")
    try:
        return Readable(_DECODER.decode(body.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        return Unreadable(f"the body is not UTF-8: byte {error.start} cannot be decoded")
    except json.JSONDecodeError as error:
        return Unreadable(f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}")
    except ValueError as error:  # an integer of thousands of digits, NaN, Infinity
        return Unreadable(f"the body is not JSON that can be kept exact: {str(error).partition(':')[0][:100]}")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)  # kept: `json.loads` makes one at each call that changes it


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for match in _BRACKETS_OR_STRING.finditer(body):
        first = body[match.start()]
        if first in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in b"]}":
            depth -= 1
    return deepest


def _read_form(body: bytes) -> Readable | Unreadable:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=10_000)
    except UnicodeDecodeError as error:
        return Unreadable(f"the form is not URL-encoded UTF-8: byte {error.start} cannot be decoded")
    except ValueError as error:
        return Unreadable(f"the form cannot be read: {error}")
    form: dict[str, str | list[str]] = {}
    for name, value in pairs:
        known = form.get(name)
        if known is None:
            form[name] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            form[name] = [known, value]
    return Readable(form)
