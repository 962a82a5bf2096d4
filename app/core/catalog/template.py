"""What is signed: a template such as `{ts}.{body}`, made into functions once, that give its pieces for each request."""

import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple

from app.core.catalog.proof import Named, NotGenuine, SignedRequest

_FIELD = re.compile(r"\{(body|body_sha256|ts|url|uri|method|secret|h:[!-z|~]+)\}")

# HubSpot signs its URL with these, and no others, decoded: their page on request validation lists them.
_DECODED = {"%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'", "%28": "(", "%29": ")"}
_DECODED |= {"%2A": "*", "%2C": ",", "%3B": ";"}
_ENCODED = re.compile("|".join(_DECODED), re.IGNORECASE)

Piece = Callable[[SignedRequest, bytes, bytes], bytes | NotGenuine]
"""(request, timestamp, secret) → the bytes of one piece, or why there are none."""


class Template(NamedTuple):
    """A template, ready."""

    pieces: Sequence[Piece]
    only_body: bool
    has_timestamp: bool
    has_secret: bool
    headers: tuple[tuple[str, ...], ...]
    """The headers that are signed, each with its alternative names."""


def compile_template(text: str) -> Template:
    """Make a template ready. Raises `ValueError` for one that cannot be understood or leaves the body out."""
    split = _FIELD.split(text)
    literals, fields = split[::2], split[1::2]
    if any(brace in literal for literal in literals for brace in "{}"):
        raise ValueError(f"the template {text!r} has a field that is not known")
    if not {"body", "body_sha256"}.intersection(fields):
        raise ValueError(f"the template {text!r} leaves the body out")
    pieces: list[Piece] = []
    for literal, name in zip(literals, [*fields, ""], strict=True):
        if literal:
            pieces.append(_literal(literal.encode()))
        if name:
            pieces.append(_piece(name))
    headers = tuple(tuple(name[2:].lower().split("|")) for name in fields if name.startswith("h:"))
    return Template(pieces, text == "{body}", "ts" in fields, "secret" in fields, headers)


def header_of(request: SignedRequest, names: Sequence[bytes]) -> tuple[bytes, bytes] | NotGenuine | None:
    """Give name and value of the first of these headers that is there. One that stands twice is refused."""
    headers = request.headers
    if isinstance(headers, Named):
        for name in names:
            if value := headers.by_name.get(name, b"").strip(b" \t"):
                return name, value
        return None
    for name in names:
        found = [value for header, value in headers if header == name]
        if len(found) > 1:
            return NotGenuine("header_repeated", f"header {name.decode()} stands more than once")
        if found and (value := found[0].strip(b" \t")):
            return name, value
    return None


def _piece(name: str) -> Piece:
    if name.startswith("h:"):
        return _header([header.encode() for header in name[2:].lower().split("|")])
    return _PIECES[name]


def _literal(text: bytes) -> Piece:
    return lambda _request, _timestamp, _secret: text


def _header(names: Sequence[bytes]) -> Piece:
    def piece(request: SignedRequest, _timestamp: bytes, _secret: bytes) -> bytes | NotGenuine:
        found = header_of(request, names)
        if found is None:
            return NotGenuine("header_missing", f"no header {names[0].decode()}, which is signed")
        return found if isinstance(found, NotGenuine) else found[1]

    return piece


def _url(request: SignedRequest, _timestamp: bytes, _secret: bytes) -> bytes | NotGenuine:
    if not request.url:
        return NotGenuine("url_unknown", "the URL is signed, and the source has no public_url that says what it is")
    return request.url.encode("utf-8", "surrogatepass")


def _uri(request: SignedRequest, timestamp: bytes, secret: bytes) -> bytes | NotGenuine:
    decoded = _ENCODED.sub(lambda match: _DECODED[match[0].upper()], request.url)
    return _url(request._replace(url=decoded), timestamp, secret)


_PIECES: dict[str, Piece] = {
    "body": lambda request, _timestamp, _secret: request.body,
    "body_sha256": lambda request, _timestamp, _secret: sha256(request.body).hexdigest().encode(),
    "ts": lambda _request, timestamp, _secret: timestamp,
    "secret": lambda _request, _timestamp, secret: secret,
    "method": lambda request, _timestamp, _secret: request.method.encode("utf-8", "surrogatepass"),
    "url": _url,
    "uri": _uri,
}
