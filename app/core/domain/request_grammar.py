"""How parts of a request are written in a document: a header, a place in the body, a size, an address."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.lexer import Lexer

from app.core.domain.document import Part, shown
from app.core.domain.source import DIGEST, LARGEST_BODY_BYTES, Place

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
"""A header's name: a token of RFC 9110 §5.6.2."""

_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?/ ?([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?([smh])")
_LONGEST_SECONDS = 1e10
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(B|KB|MB|KiB|MiB)", re.IGNORECASE)
_UNITS = {"b": 1, "kb": 1000, "mb": 1000**2, "kib": 1024, "mib": 1024**2}

_LITERALS = {"null", "true", "false"}
_LOOKS = {"field", "index", "slice", "current"}
"""What in a JMESPath depends on what it is given."""

_LONGEST_PATH = 256
"""So that no expression nests deeper than evaluating it at intake can stand."""

_LONGEST_ADDRESS = 2048


def read_header_name(part: Part) -> str | None:
    """Read the name of a header, which is the same in any case; lower here."""
    text = part.text("the name of a header, as in X-Signature")
    return None if text is None else _header_name(part, text)


def _header_name(part: Part, text: str) -> str | None:
    if _TOKEN.fullmatch(text):
        return text.lower()
    part.fault(f'"{shown(text)}" cannot be the name of a header: letters, digits and hyphens, as in X-Signature')
    return None


def read_place(part: Part, *, digest: bool) -> Place | None:
    """Read `header:NAME` or `body:PATH`, and `digest` where that makes sense."""
    spelling = '"header:NAME" or "body:PATH"' + (" or digest" if digest else "")
    text = part.text(spelling)
    if text is None:
        return None
    if digest and text == "digest":
        return DIGEST
    where, _, name = text.partition(":")
    name = name.strip()
    if where not in {"header", "body"} or not name:
        part.fault(f'"{shown(text)}" is none of {spelling}')
        return None
    if where == "header":
        header = _header_name(part, name)
        return Place("header", header) if header else None
    fault = path_fault(name)
    if fault is not None:
        part.fault(fault)
    return Place("body", name)


def path_fault(expression: str) -> str | None:
    """Say what is wrong with a JMESPath that is to find something in a body; None when nothing is."""
    if len(expression) > _LONGEST_PATH:
        return f"is longer than {_LONGEST_PATH} characters"
    try:
        nodes = list(_nodes(jmespath.compile(expression).parsed))
        tokens = list(Lexer().tokenize(expression))
    except JMESPathError as error:
        # its first line says it; the others draw the expression with an arrow
        return f'"{shown(expression)}" is not a JMESPath: {shown(str(error).partition(chr(10))[0].rstrip(": "))}'
    except RecursionError:
        return f'"{shown(expression)}" is nested too deep'
    return _meaning_fault(expression, nodes, tokens)


def _meaning_fault(
    expression: str, nodes: Sequence[Mapping[str, Any]], tokens: Sequence[Mapping[str, Any]]
) -> str | None:
    for token in tokens:
        if token["type"] == "unquoted_identifier" and token["value"] in _LITERALS:
            word = token["value"]
            return f'{word} is the name of a field in JMESPath: write `{word}` for the value, or "{word}" for the field'
    # JMESPath itself looks functions up only when a body comes.
    for name in (node["value"] for node in nodes if node["type"] == "function_expression"):
        if name not in Functions.FUNCTION_TABLE:
            return f"JMESPath has no function {shown(name)}"
    if not any(node["type"] in _LOOKS for node in nodes):
        return f'"{shown(expression)}" finds the same in every body, so that every delivery would be the same'
    return None


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Go through a parsed expression."""
    yield node
    if node["type"] != "slice":  # whose children are numbers
        for child in node["children"]:
            yield from _nodes(child)


def read_size(part: Part) -> int | None:
    """Read a number of bytes, alone or as in `5MB`."""
    size = part.value
    if isinstance(size, str) and (match := _SIZE.fullmatch(size)):
        size = round(float(match[1]) * _UNITS[match[2].lower()])
    if isinstance(size, bool) or not isinstance(size, int):
        part.fault("must be a number of bytes, as in 500000, 500KB or 5MB")
        return None
    if not 1 <= size <= LARGEST_BODY_BYTES:
        part.fault(f"must be from 1 byte to {LARGEST_BODY_BYTES // 1024**2} MB ({LARGEST_BODY_BYTES} bytes)")
        return None
    return size


def read_duration(part: Part) -> float | None:
    """Read a time, alone in seconds or as in `90s`, `5m` or `2h`, in seconds."""
    duration = part.value
    if isinstance(duration, str) and (match := _DURATION.fullmatch(duration)):
        return float(match[1]) * _SECONDS[match[2]]
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not 0 <= duration <= _LONGEST_SECONDS:
        part.fault("must be a number of seconds, or a time as in 90s, 5m or 2h")
        return None
    return float(duration)


def read_rate(part: Part) -> float | None:
    """Read a rate, as in `50/s` or `600/m`, in times a second."""
    rate = part.value
    match = _RATE.fullmatch(rate) if isinstance(rate, str) else None
    if match is None or not float(match[1]):
        part.fault("must be a number a second, minute or hour, as in 50/s, 600/m or 1000/h")
        return None
    return float(match[1]) / _SECONDS[match[2]]


def read_address(part: Part) -> str | None:
    """Read the address of an HTTP endpoint, kept as written: providers sign it to the letter."""
    text = part.text("an address, as in https://hooks.example.com/api/v1/webhooks/NAME")
    if text is None:
        return None
    fault = _address_fault(text)
    if fault is not None:
        # not quoted back: it may hold a password
        part.fault(fault)
        return None
    return text


def _address_fault(text: str) -> str | None:
    if len(text) > _LONGEST_ADDRESS or not text.isascii() or not text.isprintable() or " " in text:
        return f"must be at most {_LONGEST_ADDRESS} printable ASCII characters, others written as %XX"
    try:
        address = urlsplit(text)
        host, _ = address.hostname, address.port
    except ValueError:
        return "is not an address: its host or port cannot be read"
    if address.scheme not in {"http", "https"} or not host:
        return "must begin with https:// (or http://) and a host"
    if address.username is not None or address.password is not None:
        return "must hold no user or password: providers would be shown them"
    if "#" in text:
        return "must hold no # part: no provider sends it"
    return None
