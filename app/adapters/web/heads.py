"""Heads of requests, read once: most of their lines are old acquaintances.

A sender writes the same host, content type and agent into every request, over and over. A line that has been seen
twice is remembered as what it was read as, so that it costs a look into a dictionary from then on. What this reads, it
reads as `framing.check_head` does; whatever is out of the ordinary, and every fault, is left to that.
"""

import re
from typing import Generic, NamedTuple, TypeVar

from app.adapters.web.framing import CHUNKED, LONGEST_LENGTH, METHODS, TOKEN, Caps, check_head
from app.core.catalog.proof import Headers, Named

Header = tuple[bytes, bytes]
Read = TypeVar("Read")

SOURCE_PATH = "/api/v1/webhooks/"
MOST_REMEMBERED = 2048
LONGEST_REMEMBERED = 256
"""Bytes of a line: with the bound above, strangers can fill a megabyte and no more."""

_FIRST = re.compile(rb"(" + TOKEN + rb"++) ([\x21-\x7e]++) HTTP/1\.1")
_FIELD = re.compile(rb"(" + TOKEN + rb"++):[ \t]*+([\t\x20-\x7e\x80-\xff]*+)")
_FIELDS = re.compile(rb"\n([^:\r\n]++):[ \t]*+([^\r]*+)")
_WEBHOOK = re.compile(rb"[A-Z]++ /api/v1/webhook")
_ASKING = frozenset({b"connection", b"expect", b"te", b"trailer", b"upgrade"})
_CLOSE = (b"connection", b"close")
_USUAL: tuple[list[Header], ...] = ([], [(b"connection", b"keep-alive")], [_CLOSE])
_POST_TO_SOURCE = b"POST " + SOURCE_PATH.encode()


class FirstLine(NamedTuple):
    """What the first line of a request asks for."""

    target: bytes
    webhook: bool
    """By its path it may be a webhook, and counts for admission."""
    source: str | None
    """The source that it is posted to, by the name in its path; None where it is no such thing."""


class Head:
    """A head that is sound."""

    __slots__ = ("first", "headers", "last", "length", "upgrade", "usual")

    def __init__(
        self, first: FirstLine, headers: Headers, length: int, *, usual: bool, last: bool, upgrade: bool
    ) -> None:
        self.first = first
        self.headers = headers
        """As they came, names in lower case, without the blanks around values; `Named` where each stands but once."""
        self.length = length
        """Of the body, or `CHUNKED`."""
        self.usual = usual
        """It is posted to a source, with a length, and asks the connection for nothing but an answer."""
        self.last = last
        """It is the connection's last; known of a usual one."""
        self.upgrade = upgrade
        """It wishes for another protocol."""


def _asked(headers: Headers) -> list[Header]:
    return [(name, value.lower()) for name, value in headers if name in _ASKING]


class _Lines(Generic[Read]):
    """What was read of lines: those that were seen twice are kept. A full memory is begun anew."""

    def __init__(self) -> None:
        self.known: dict[bytes, Read] = {}
        self._once: set[bytes] = set()

    def note(self, line: bytes, read: Read) -> None:
        """Take note of a line that was read."""
        if len(line) > LONGEST_REMEMBERED:
            return
        if line not in self._once:
            if len(self._once) >= MOST_REMEMBERED:
                self._once.clear()
            self._once.add(line)
            return
        if len(self.known) >= MOST_REMEMBERED:
            self.known.clear()
        self.known[line] = read


class HeadReader:
    """Reads the heads of one process's requests."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._least_cap = min(caps.head_bytes, caps.url_bytes)
        self._first: _Lines[FirstLine] = _Lines()
        self._fields: _Lines[Header] = _Lines()
        self._known_first = self._first.known
        self._known_fields = self._fields.known

    def read(self, head: bytes) -> Head:
        """Read a whole head, its empty line included. Raises `Misframed`."""
        lines = head.split(b"\r\n")
        del lines[-2:]
        line = lines.pop(0)
        known = self._known_fields
        first = self._known_first.get(line) or self._read_first(line)
        read = [known.get(field) or self._read_field(field) for field in lines]
        if (
            first is not None
            and None not in read
            and len(head) <= self._least_cap
            and len(read) <= self._caps.header_count
        ):
            headers = Named(read)  # type: ignore[arg-type]
            headers.by_name = named = dict(headers)
            length = named.get(b"content-length", b"")
            if (
                len(named) == len(read)
                and length.isdigit()
                and len(length) <= LONGEST_LENGTH
                and b"host" in named
                and b"transfer-encoding" not in named
            ):
                usual, last, upgrade = first.source is not None, False, False
                if not _ASKING.isdisjoint(named):
                    asked = _asked(headers)
                    usual = usual and asked in _USUAL
                    last = asked == [_CLOSE]
                    upgrade = b"upgrade" in named
                return Head(first, headers, int(length), usual=usual, last=last, upgrade=upgrade)
        return self._by_the_letter(head)

    def _by_the_letter(self, head: bytes) -> Head:
        length, upgrade = check_head(head, self._caps)
        headers = [(name.lower(), value.rstrip(b" \t")) for name, value in _FIELDS.findall(head)]
        first = self._read_first(head[: head.find(b"\r\n")])
        if first is None:  # HTTP/1.0
            first = FirstLine(b"", _WEBHOOK.match(head) is not None, None)
        asked = _asked(headers)
        usual = first.source is not None and length != CHUNKED and asked in _USUAL
        return Head(first, headers, length, usual=usual, last=asked == [_CLOSE], upgrade=upgrade)

    def _read_first(self, line: bytes) -> FirstLine | None:
        match = _FIRST.fullmatch(line)
        if match is None or match[1] not in METHODS:
            return None
        source = None
        if line.startswith(_POST_TO_SOURCE):
            source = match[2][len(SOURCE_PATH) :].decode("ascii")
        first = FirstLine(match[2], _WEBHOOK.match(line) is not None, source)
        self._first.note(line, first)
        return first

    def _read_field(self, line: bytes) -> Header | None:
        match = _FIELD.fullmatch(line)
        if match is None:
            return None
        header = match[1].lower(), match[2].rstrip(b" \t")
        self._fields.note(line, header)
        return header
