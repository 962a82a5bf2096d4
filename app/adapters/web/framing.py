"""Where a request's head and body end, by the letter of RFC 9112; whoever could be read in two ways is refused.

The parser behind (llhttp) is lenient here and there, has no bounds of its own, and sees callbacks, not bytes. So the
head is looked at as a whole before the parser gets it, and it gets one request at a time: no byte of a second one.
Everything here is pure: bytes in, lengths out, `Misframed` with a code of the table of problems.
"""

import re
from dataclasses import dataclass

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
# Possessive throughout: no input makes this try a thing twice.
_LINE = rb"(" + TOKEN + rb"++) ([\x21-\x7e]++) HTTP/1\.([01])\r\n"
_FIRST_LINE = re.compile(_LINE)
_HEAD = re.compile(_LINE + rb"(?:" + TOKEN + rb"++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n")
_OTHER_VERSION = re.compile(TOKEN + rb"+ [\x21-\x7e]+ HTTP/\d+(?:\.\d+)?\r\n")
_DECISIVE = re.compile(rb"\n(host|content-length|transfer-encoding|upgrade):[ \t]*+([^\r]*)")
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r]*", re.IGNORECASE)
# What no head contains: control characters, CR or LF alone, a line that goes on in the next one.
_STRAY = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)|\n[ \t]")
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(TOKEN + rb"+:[\t\x20-\x7e\x80-\xff]*")

METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE"})
CHUNKED = -1
"""In place of a length: the body says by itself where it ends."""

LONGEST_METHOD = 32
SHORTEST_HEADER = 4
LONGEST_LENGTH = 18
LONGEST_CHUNK_LINE = 256
# A body of many tiny chunks costs far more than its bytes; up to so many nobody asks.
FREE_CHUNKS = 10_000
LEAST_CHUNK = 32


class Misframed(Exception):
    """This is not one request that everybody reads alike; its text is the code of the answer."""


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that a head may be."""

    head_bytes: int = 32_768
    header_count: int = 100
    url_bytes: int = 8_192


def check_head(head: bytes, caps: Caps) -> tuple[int, bool]:
    """Look at a whole head, its empty line included; give the body's length or `CHUNKED`, and whether it says Upgrade.

    What is usual never comes here (`heads.py`). Raises `Misframed`.
    """
    match = _HEAD.fullmatch(head)
    if match is None:
        check_beginning(head, 0, caps)
        raise Misframed("malformed_request")
    size = len(head)
    if size > SHORTEST_HEADER * caps.header_count and head.count(b"\n") - 2 > caps.header_count:
        raise Misframed("headers_too_large")
    if size > caps.url_bytes:
        _check_size(match, caps)
    if match[1] not in METHODS:
        raise Misframed("unknown_method")
    decisive = _DECISIVE.findall(head.lower())
    if len(decisive) == 2:
        # Nearly always: one Host, then one length. The rest is for the others.
        (first, _), (second, value) = decisive
        if first == b"host" and second == b"content-length" and value.isdigit() and len(value) <= LONGEST_LENGTH:
            return int(value), False
    return _weigh(decisive, old=match[3] == b"0")


def _weigh(decisive: list[tuple[bytes, bytes]], *, old: bool) -> tuple[int, bool]:
    names = [name for name, _ in decisive]
    hosts = names.count(b"host")
    if hosts > 1 or not (hosts or old):
        raise Misframed("host_not_once")
    codings = names.count(b"transfer-encoding")
    lengths = names.count(b"content-length")
    if lengths + codings > 1 or (codings and old):
        raise Misframed("ambiguous_length")
    length = 0
    if lengths:
        length = _length(dict(decisive)[b"content-length"].rstrip(b" \t"))
    elif codings:
        if dict(decisive)[b"transfer-encoding"].rstrip(b" \t") != b"chunked":
            raise Misframed("unknown_transfer_encoding")
        length = CHUNKED
    return length, b"upgrade" in names


def _check_size(head: re.Match[bytes], caps: Caps) -> None:
    if head.end(2) - head.start(2) > caps.url_bytes:
        raise Misframed("url_too_long")
    if head.end() > caps.head_bytes:
        raise Misframed("headers_too_large")


def _length(value: bytes) -> int:
    if not value.isdigit():
        raise Misframed("ambiguous_length")
    if len(value) > LONGEST_LENGTH:
        raise Misframed("content_too_large" if value.strip(b"0") else "ambiguous_length")
    return int(value)


def check_beginning(head: bytes, looked: int, caps: Caps) -> None:
    """Look at a head that is not whole yet, of which so many bytes have been looked at before. Raises `Misframed`."""
    end = head.find(b"\r\n", 0, caps.url_bytes + 2 * LONGEST_METHOD)
    if end < 0 and len(head) > LONGEST_METHOD and b" " not in head[: LONGEST_METHOD + 1]:
        raise Misframed("malformed_request" if _STRAY.search(head) else "unknown_method")
    if _STRAY.search(head, max(0, looked - 1)):
        raise Misframed("malformed_request")
    if end < 0 and len(head) >= caps.url_bytes + 2 * LONGEST_METHOD:
        raise Misframed("url_too_long")
    if end >= 0 and looked < end + 2:
        line = _FIRST_LINE.match(head)
        if line is None:
            raise Misframed("unsupported_version" if _OTHER_VERSION.match(head) else "malformed_request")
        if len(line[2]) > caps.url_bytes:
            raise Misframed("url_too_long")
    # The head's own empty line and its first line are no headers.
    lines = head.count(b"\n") - 1 - head.endswith(b"\r\n\r\n")
    if len(head) > caps.head_bytes or lines > caps.header_count:
        raise Misframed("headers_too_large")


def without_upgrade(head: bytes) -> bytes:
    """Leave out the wish for another protocol, which a server may ignore (RFC 9110, 7.8).

    The parser does not ignore it: it takes the message as complete, and its body for the next request. Some senders ask
    for h2c each time (Java's HttpClient).
    """
    return _UPGRADE.sub(b"", head)


class Chunks:
    """Follows a chunked body to its end."""

    __slots__ = ("_bytes", "_chunks", "_left", "_trailer_bytes", "_trailing")

    def __init__(self) -> None:
        self._left = 0
        self._trailing = False
        self._trailer_bytes = 0
        self._chunks = 0
        self._bytes = 0

    def follow(self, data: bytes, caps: Caps) -> tuple[int, int, bool]:
        """Give how many bytes are chunks, how many were understood, and whether the end is among them.

        What lies between the two is trailers, which nobody wants: they could pose as headers. What was not understood
        is a line without its end; show it again with more. Raises `Misframed`.
        """
        at = 0
        while not self._trailing:
            step = min(self._left, len(data) - at)
            at += step
            self._left -= step
            if self._left:
                return at, at, False
            line = _line(data, at)
            if line is None:
                return at, at, False
            at += len(line) + 2
            self._begin(line)
        chunks = at
        while (line := _line(data, at, caps.head_bytes)) is not None:
            at += len(line) + 2
            if not line:
                return chunks, at, True
            self._trailer_bytes += len(line) + 2
            if self._trailer_bytes > caps.head_bytes:
                raise Misframed("headers_too_large")
            if _TRAILER.fullmatch(line) is None:
                raise Misframed("malformed_request")
        return chunks, at, False

    def _begin(self, line: bytes) -> None:
        match = _CHUNK.fullmatch(line)
        if match is None:
            raise Misframed("malformed_request")
        size = int(match[1], 16)
        self._chunks += 1
        self._bytes += size
        if self._chunks > FREE_CHUNKS and self._bytes < self._chunks * LEAST_CHUNK:
            raise Misframed("malformed_request")
        if size:
            self._left = size + 2  # its line end is the parser's to check
        else:
            self._trailing = True


def _line(data: bytes, at: int, most: int = LONGEST_CHUNK_LINE) -> bytes | None:
    """Give the line that begins here; None while its end is not there."""
    end = data.find(b"\r\n", at, at + most + 2)
    line = data[at:end] if end >= 0 else data[at : at + most + 2]
    if b"\n" in line or (end < 0 and len(line) > most):
        raise Misframed("malformed_request")
    return line if end >= 0 else None
