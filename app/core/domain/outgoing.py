"""A request to somebody else's HTTP server, its answer, and everything that can be wrong with the request's form."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple
from urllib.parse import urlsplit

from app.core.domain.address import NOTHING_PRIVATE, AllowPrivate, is_name, is_number
from app.core.domain.errors import Fault, Forbidden, Invalid

KEPT_BYTES = 65_536
WHOLE_SECONDS = 30.0
LONGEST_URL = 8_192

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
"""A method, or a header's name: a token of RFC 9110 §5.6.2."""
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OURS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers about the connection and the message's frame, which who sends it decides."""
_AUTHORITY = re.compile(r"(?:\[[^\[\]@]*\]|[^\[\]:@]+)(?::[0-9]{0,5})?")
"""Host and port, so strictly that no two readers of URLs can see different hosts in it."""
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """One request, to be sent once."""

    url: str
    """Sent as written: percent-encoding is left alone, for addresses that are signed."""
    method: str = "GET"
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    allow_private: AllowPrivate = NOTHING_PRIVATE
    seconds: float = WHOLE_SECONDS
    """For everything, from the look-up of the name to the answer's last byte."""
    keep_bytes: int = KEPT_BYTES
    """How much of the answer's body is read; the connection is closed on the rest."""


class OutgoingAnswer(NamedTuple):
    """What came back, whatever its status: a redirect is an answer as well."""

    status: int
    headers: Sequence[tuple[str, str]]
    """Names in lower case, in order, repeated ones included; bytes as in ISO 8859-1."""
    body: bytes
    """As sent; never inflated."""
    truncated: bool
    """There was more of the body than `keep_bytes`."""

    def values(self, name: str) -> list[str]:
        """Give every value of a header, in order."""
        return [value for header, value in self.headers if header == name]


class Destination(NamedTuple):
    """Where a request goes."""

    scheme: str
    host: str
    """In lower case, an IPv6 address without brackets."""
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def destination(request: OutgoingRequest) -> Destination:
    """Check a request's form, and say where it goes.

    Raises `Invalid` for what is no sendable request, `Forbidden` for a host in a spelling that is only good for getting
    past somebody's check. Neither quotes more of the URL than its host: paths and queries hold tokens.
    """
    faults = list(_faults(request))
    if faults:
        raise Invalid(faults)
    try:
        parts = urlsplit(request.url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise Invalid([Fault("url", "is not an address: its host or port cannot be read")]) from None
    if parts.scheme not in _PORTS or not host:
        raise Invalid([Fault("url", "must begin with https:// (or http://) and a host")])
    if "@" in parts.netloc:
        raise Invalid([Fault("url", "must hold no user or password: they belong in a header")])
    if not _AUTHORITY.fullmatch(parts.netloc):
        raise Invalid([Fault("url", "is not an address: its host or port cannot be read")])
    if port == 0:
        raise Invalid([Fault("url", "names port 0, on which nobody listens")])
    _check_host(host)
    return Destination(parts.scheme, host, port or _PORTS[parts.scheme])


def _faults(request: OutgoingRequest) -> Iterator[Fault]:
    url = request.url
    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        yield Fault("url", f"must be at most {LONGEST_URL} printable ASCII characters, others written as %XX")
    if not _TOKEN.fullmatch(request.method) or request.method.upper() == "CONNECT":
        yield Fault("method", "must be a method of HTTP, as in POST")
    for name, value in request.headers:
        if not _TOKEN.fullmatch(name):
            yield Fault("headers", "the name of a header has letters, digits and hyphens, as in X-Signature")
        elif name.lower() in _OURS or name.lower().startswith("proxy-"):
            yield Fault("headers", f"{name} is not for the caller to set")
        elif not _VALUE.fullmatch(value):
            yield Fault("headers", f"{name} holds what no header can hold: a line break, say, or more than a byte")
    if not request.seconds > 0:
        yield Fault("seconds", "must be more than 0")
    if request.keep_bytes < 0:
        yield Fault("keep_bytes", "must be 0 or more")


def _check_host(host: str) -> None:
    if "%" in host:
        raise Forbidden("the URL's host names a zone of this machine, or is written in code: write the plain name")
    if ":" in host:
        try:
            IPv6Address(host)
        except ValueError:
            raise Invalid([Fault("url", "its host looks like an IPv6 address and is none")]) from None
    elif is_number(host):
        try:
            IPv4Address(host)
        except ValueError:
            raise Forbidden(f"{host!r} could be taken for an IPv4 address: write it as four decimal numbers") from None
    elif not is_name(host):
        raise Invalid([Fault("url", "its host has letters, digits, hyphens and dots only (others in Punycode)")])
