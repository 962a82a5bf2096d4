"""What a challenge is answered with. Whatever is reflected is short, printable, and never taken for a page."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from app.core.catalog.proof import Credentials, SignedRequest

LONGEST_REFLECTED = 1_024
_PRINTABLE = re.compile(r"[ -~]+")
NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}


class HandshakeAnswer(NamedTuple):
    """An answer that the provider prescribes, and what it depends on."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    needs_signature: bool = False
    """The request is signed like an event: it is verified first, and a bad one gets what bad events get."""
    after_event: bool = False
    """The request is an event: it is kept first, and then answered with this."""
    stores_secret: bytes | None = None
    """A secret that the provider brings. Nobody vouches for it: answered only while a registration is pending."""
    fetch: str | None = None
    """An address of the provider that is to be called afterwards, out of the answer's way."""


Handshake = Callable[[SignedRequest, Credentials, float | None], HandshakeAnswer | None]
"""(request, the source's credentials, seconds since the epoch) → the answer; None: this is no challenge."""


def refused(status: int) -> HandshakeAnswer:
    """Say no, and nothing else."""
    return HandshakeAnswer(status)


def plain(text: str, *, needs_signature: bool = False) -> HandshakeAnswer:
    """Answer with a text as it is, or refuse one that is longer or stranger than any challenge."""
    if not reflectable(text):
        return refused(400)
    headers = {"Content-Type": "text/plain", **NO_SNIFFING}
    return HandshakeAnswer(200, headers, text.encode(), needs_signature=needs_signature)


def structured(
    content: Mapping[str, Any], headers: Mapping[str, str] | None = None, *, needs_signature: bool = False
) -> HandshakeAnswer:
    """Answer with JSON, or refuse one with a text that is longer or stranger than any challenge."""
    if not all(reflectable(value) for value in content.values() if isinstance(value, str)):
        return refused(400)
    all_headers = {"Content-Type": "application/json", **NO_SNIFFING, **(headers or {})}
    return HandshakeAnswer(200, all_headers, json.dumps(content).encode(), needs_signature=needs_signature)


def reflectable(text: str) -> bool:
    """Tell whether a text of the request may stand in the answer, also in a header of it."""
    return len(text) <= LONGEST_REFLECTED and _PRINTABLE.fullmatch(text) is not None
