"""Finding signatures in a request: one in a header, several in a list, or one in each of several numbered headers.

Any of them may be the one that fits, so that secrets can be rotated. How many are looked at is bounded: whoever sends
ten thousand of them costs no more than whoever sends thirty.
"""

from collections.abc import Callable
from typing import NamedTuple

from app.core.catalog.encodings import DECODERS
from app.core.catalog.proof import NotGenuine, SignedRequest
from app.core.catalog.provider import Mac, SignatureList
from app.core.catalog.template import header_of

MOST_ITEMS = 32
MOST_NUMBERED = 100
LONGEST_NUMBER = 3


class Candidates(NamedTuple):
    """What may be the signature, and the time that stands beside it."""

    digests: list[bytes]
    """Decoded. Empty: signatures are there, but none that could be one."""
    timestamp: bytes | None


Finder = Callable[[SignedRequest], Candidates | NotGenuine]


def finder(mac: Mac) -> Finder:
    """Make ready the search for a scheme's signatures."""
    if mac.numbered:
        return _numbered(mac)
    return _single(mac) if mac.list is None else _listed(mac, mac.list)


def _single(mac: Mac) -> Finder:
    names = [name.encode() for name in mac.headers]
    prefixes = sorted((prefix.encode() for prefix in mac.prefixes), key=len, reverse=True)
    decode = DECODERS[mac.encoding]
    missing = _missing(mac)

    def find(request: SignedRequest) -> Candidates | NotGenuine:
        found = header_of(request, names)
        if found is None:
            return missing
        if isinstance(found, NotGenuine):
            return found
        name, value = found
        for prefix in prefixes:
            if value.startswith(prefix):
                try:
                    return Candidates([decode(value[len(prefix) :])], None)
                except ValueError:
                    return Candidates([], None)
        return NotGenuine("signature_malformed", f"{name.decode()} does not begin with {mac.prefixes[0]}")

    return find


def _listed(mac: Mac, grammar: SignatureList) -> Finder:
    names = [name.encode() for name in mac.headers]
    # A blank after a comma is what some write and nobody insists on; a blank alone is a separator.
    separator = grammar.separator.strip().encode() or b" "
    assign, key = grammar.assign.encode(), grammar.key.encode()
    stamp = mac.timestamp.name.encode() if mac.timestamp is not None and mac.timestamp.place == "item" else None
    decode = DECODERS[mac.encoding]
    missing = _missing(mac)

    def find(request: SignedRequest) -> Candidates | NotGenuine:
        found = header_of(request, names)
        if found is None:
            return missing
        if isinstance(found, NotGenuine):
            return found
        name, value = found
        digests: list[bytes] = []
        timestamp = None
        of_version = 0
        for item in value.split(separator, MOST_ITEMS)[:MOST_ITEMS]:
            left, _, right = item.strip(b" \t").partition(assign)
            if left == key:
                of_version += 1
                try:
                    digests.append(decode(right))
                except ValueError:
                    continue
            elif left == stamp and timestamp is None:
                timestamp = right
        if not of_version:
            return NotGenuine("signature_malformed", f"{name.decode()} holds no {grammar.key}{grammar.assign}…")
        return Candidates(digests, timestamp)

    return find


def _numbered(mac: Mac) -> Finder:
    (prefix,) = (name.encode() for name in mac.headers)
    decode = DECODERS[mac.encoding]
    missing = _missing(mac)

    def find(request: SignedRequest) -> Candidates | NotGenuine:
        digests: list[bytes] = []
        seen = 0
        for name, value in request.headers:
            number = name[len(prefix) :]
            if not name.startswith(prefix) or len(number) > LONGEST_NUMBER or not number.isdigit():
                continue
            seen += 1
            if seen > MOST_NUMBERED:
                break
            try:
                digests.append(decode(value.strip(b" \t")))
            except ValueError:
                continue
        return Candidates(digests, None) if seen else missing

    return find


def _missing(mac: Mac) -> NotGenuine:
    return NotGenuine("signature_missing", f"no header {' or '.join(mac.headers)}{'1' if mac.numbered else ''}")
