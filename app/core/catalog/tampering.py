"""Forging a signed request: one character is changed of what its proof speaks for."""

import re
from collections.abc import Iterator
from itertools import islice

from app.core.catalog.proof import NotGenuine, SignedRequest, Verifier
from app.core.catalog.provider import Coverage

SPREAD = 16
"""How many characters of a text are tried first, all over it: some are not covered, and some of Base64 say nothing."""
MOST_TRIES = 4_096
_CHANGEABLE = re.compile(rb"[A-Za-z0-9]")


def tampered(signed: SignedRequest, before: SignedRequest, coverage: Coverage, verify: Verifier) -> SignedRequest:
    """Change a signed request so that it is refused; `before` is the same one before it was signed.

    The body is changed where the proof covers it, else what the proof itself is. Raises `ValueError` where nothing can
    be changed that anybody would notice.
    """
    changes = [_in_body(signed), _in_query(signed), _in_headers(signed, before)]
    for way in reversed(changes) if coverage == "none" else changes:
        for forged in way:
            if isinstance(verify(forged, None), NotGenuine):
                return forged
    raise ValueError("nothing in this request can be changed that its proof speaks for")


def _in_body(signed: SignedRequest) -> Iterator[SignedRequest]:
    for body in _changed(signed.body):
        yield signed._replace(body=body)


def _in_query(signed: SignedRequest) -> Iterator[SignedRequest]:
    address, question, query = signed.url.partition("?")
    for changed in _changed(query.encode()):
        yield signed._replace(url=address + question + changed.decode())


def _in_headers(signed: SignedRequest, before: SignedRequest) -> Iterator[SignedRequest]:
    """Change those that the signature brought."""
    for header in signed.headers:
        if header not in before.headers:
            others = [other for other in signed.headers if other != header]
            for changed in _changed(header[1]):
                yield signed._replace(headers=[*others, (header[0], changed)])


def _changed(text: bytes) -> Iterator[bytes]:
    """Give the text with one letter or digit of it changed, each time another: here and there, then everywhere."""
    places = [match.start() for match in _CHANGEABLE.finditer(text)]
    step = max(1, len(places) // SPREAD)
    spread = (place for offset in range(step) for place in places[(offset + step // 2) % step :: step])
    for place in islice(spread, MOST_TRIES):
        other = b"1" if text[place : place + 1] == b"0" else b"0"
        yield text[:place] + other + text[place + 1 :]
