"""Samples: what each provider sends, as data in `samples`: headers, an empty line, the body.

`NAME.txt` is the provider's; where one of its schemes sends something else, that is in `NAME.SCHEME.txt`. What is
another each time is written as a mark: `{{uuid}}`, `{{hex 32}}`, `{{digits 9}}`, `{{text 24}}` (letters and digits);
the time is `{{unix}}`, `{{millis}}` or `{{time}}`. Marks that are alike and end in a letter, as `{{uuid a}}`, are one.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple
from uuid import UUID

from app.core.catalog.proof import Headers

_FOLDER = Path(__file__).parent / "samples"
_MARK = re.compile(rb"\{\{(uuid|hex|digits|text|unix|millis|time)(?: ([1-9][0-9]{0,2}))?(?: ([a-z]))?\}\}")
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BETWEEN_LINES = re.compile(rb"\n *")


class Sample(NamedTuple):
    """One request before it is signed, its marks filled in or not yet."""

    headers: Headers
    body: bytes

    def filled(self, now: float, random: Random) -> "Sample":
        """Put something in the place of every mark."""
        known: dict[bytes, bytes] = {}

        def fill(match: re.Match[bytes]) -> bytes:
            mark = match[0]
            value = known.get(mark) or _MADE[match[1].decode()](int(match[2] or 1), now, random)
            if match[3]:
                known[mark] = value
            return value

        return Sample([(name, _MARK.sub(fill, value)) for name, value in self.headers], _MARK.sub(fill, self.body))


@cache
def sample_of(provider: str, scheme: str) -> Sample:
    """Give what a provider sends under one of its schemes, with its marks."""
    own = _FOLDER / f"{provider}.{scheme}.txt"
    file = own if own.exists() else _FOLDER / f"{provider}.txt"
    head, _, body = file.read_bytes().partition(b"\n\n")
    lines = (line.partition(b": ") for line in head.splitlines())
    headers = [(name.lower(), value) for name, _, value in lines]
    body = body.removesuffix(b"\n")
    # JSON is written on many lines for who reads it here. Senders use one; no text in JSON holds a line break.
    return Sample(headers, _BETWEEN_LINES.sub(b"", body) if body[:1] in {b"{", b"["} else body)


def _uuid(_length: int, _now: float, random: Random) -> bytes:
    return str(UUID(bytes=random.randbytes(16), version=4)).encode()


def _hex(length: int, _now: float, random: Random) -> bytes:
    return f"{random.getrandbits(4 * length):0{length}x}".encode()


def _digits(length: int, _now: float, random: Random) -> bytes:
    return str(random.randrange(10 ** (length - 1), 10**length)).encode()


def _text(length: int, _now: float, random: Random) -> bytes:
    return "".join(random.choices(_LETTERS, k=length)).encode()


def _time(_length: int, now: float, _random: Random) -> bytes:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()


_MADE: Mapping[str, Callable[[int, float, Random], bytes]] = {
    "uuid": _uuid,
    "hex": _hex,
    "digits": _digits,
    "text": _text,
    "unix": lambda _length, now, _random: b"%d" % now,
    "millis": lambda _length, now, _random: b"%d" % (now * 1000),
    "time": _time,
}
