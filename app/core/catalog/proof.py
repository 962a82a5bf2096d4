"""What every way to sign speaks of: the request as it came, what there is to check it with, and the verdict.

A scheme is made ready once for a source's credentials (`Prepare`), and then asked about each request (`Verifier`). Both
are pure: time comes in as an argument, and what must be fetched from elsewhere is asked for by `KeyWanted` and brought
in with the next question.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Headers = Sequence[tuple[bytes, bytes]]
"""As received: names in lower case, in order, repeated ones included."""


class Named(list[tuple[bytes, bytes]]):
    """Headers among which no name stands twice, so that each can be had by its name without a search."""

    __slots__ = ("by_name",)
    by_name: Mapping[bytes, bytes]
    """Set by whoever makes it."""


class SignedRequest(NamedTuple):
    """A request, as far as anybody signs it."""

    method: str
    url: str
    """Absolute and with its query, as the provider was given it: never what a proxy shows. Empty: not known."""
    headers: Headers
    body: bytes
    """Exactly as received."""

    def values(self, name: bytes) -> list[bytes]:
        """Give every value of a header, in order, without the blanks around it."""
        return [value.strip(b" \t") for header, value in self.headers if header == name]

    def first(self, name: bytes) -> bytes | None:
        """Give the first value of a header, without the blanks around it; None where it is absent or empty."""
        headers = self.headers
        if isinstance(headers, Named):
            value = headers.by_name.get(name)
            return value.strip(b" \t") or None if value else None
        for header, value in headers:
            if header == name:
                return value.strip(b" \t") or None
        return None


class Credentials(NamedTuple):
    """What a request is checked with."""

    secrets: tuple[bytes, ...] = ()
    """Shared secrets or public keys as text, several while they are being rotated; numbered from 1 in verdicts."""
    settings: Mapping[str, str] = {}
    """What else a provider needs to know of a source, by name: `verify_token`, `audience`, `bundle_id` …"""
    keys: Mapping[str, bytes] = {}
    """What was fetched, by the URL that a `KeyWanted` asked for."""


class Freshness(NamedTuple):
    """How old a signed timestamp may be."""

    tolerance_seconds: float | None = None
    """None: the timestamp is not judged."""
    past_only: bool = False
    """A timestamp of the future is as good as a fresh one (the provider's own library does it so)."""


class Genuine(NamedTuple):
    """The request was proved."""

    verification: str
    """How, for the record: `hmac-sha256`, with `#2` for the second secret."""
    matched_secret: int = 1
    """Which of the secrets, counted from 1; 0 where there is none."""


class NotGenuine(NamedTuple):
    """The request was not proved."""

    code: str
    """For the sender: `signature_missing`, `signature_mismatch`, `signature_malformed`, `timestamp_missing`,
    `timestamp_malformed`, `timestamp_too_old`, `timestamp_in_the_future`, `key_unknown` …"""
    detail: str
    """For the operator: which header, and what about it. Never a secret, and nothing that helps to forge one."""


class KeyWanted(NamedTuple):
    """Nothing can be said without what stands at this address, which the scheme's own rule of hosts allows."""

    url: str


Verdict = Genuine | NotGenuine | KeyWanted

Verifier = Callable[[SignedRequest, float | None], Verdict]
"""(request, seconds since the epoch at receipt, None: freshness is not judged) → verdict. Never raises.

The signature is checked before the timestamp's age, so that `timestamp_too_old` means: authentic, but old.
"""

Prepare = Callable[[Credentials, Freshness], Verifier]
"""Make a scheme ready: decode secrets, parse keys, precompute pads. Raises `ValueError` for credentials that cannot be
used, with a text that names what is wrong and never quotes a secret."""

UNVERIFIED = Genuine("none", 0)
