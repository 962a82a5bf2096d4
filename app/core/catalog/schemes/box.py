"""Box signs body and time with two keys, each with a header of its own; either of them is enough.

https://developer.box.com/guides/webhooks/v2/signatures-v2
"""

import re
from collections.abc import Iterator

from app.core.catalog.proof import Credentials, Freshness, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.mac import matching, mismatch
from app.core.catalog.schemes.reading import header, optional_header, unbase64
from app.core.catalog.schemes.refused import Refused, proved, refuse_if, refusing
from app.core.catalog.timestamps import judge, rfc3339

TIMESTAMP = b"box-delivery-timestamp"
SIGNATURES = (b"box-signature-primary", b"box-signature-secondary")
ALGORITHM, VERSION = (b"box-signature-algorithm", b"HmacSHA256"), (b"box-signature-version", b"1")
_PLAIN = re.compile(rb"[ -\x5b\x5d-~]*")
_BACKSLASH = re.compile(r"\\(?!/)")
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def prepare(credentials: Credentials, freshness: Freshness) -> Verifier:
    """HMAC-SHA256; the first secret is the primary key, the second the secondary one, and an empty one is not there."""
    keys = dict(zip(SIGNATURES, credentials.secrets, strict=False))
    if not any(keys.values()) or len(credentials.secrets) > len(SIGNATURES):
        raise ValueError("Box has a primary and a secondary key, one of which must be there")

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        for name, only in (ALGORITHM, VERSION):
            if header(request, name) != only:
                raise Refused("algorithm_refused", f"{name.decode()} is not {only.decode()}")
        timestamp = header(request, TIMESTAMP, "timestamp_missing")
        given = [(number, name) for number, name in enumerate(SIGNATURES, 1) if optional_header(request, name)]
        if not given:
            raise Refused("signature_missing", "no header box-signature-primary or -secondary")
        for number, name in given:
            key, code = keys.get(name), unbase64(header(request, name), name.decode())
            if key and any(matching([key], "sha256", [body + timestamp], [code]) for body in bodies(request.body)):
                _judge(freshness, now, timestamp)
                return proved("hmac-sha256", number)
        raise mismatch(sum(map(bool, keys.values())), "no box-signature", "body and box-delivery-timestamp")

    return refusing(verify)


def bodies(body: bytes) -> Iterator[bytes]:
    """Give the body, and then the body escaped, which Box signs where it is not plain text."""
    yield body
    if not _PLAIN.fullmatch(body):
        yield escaped(body)


def escaped(body: bytes) -> bytes:
    """Write every character outside printable ASCII as JSON does, and double the backslashes that escape no slash."""
    text = _BACKSLASH.sub(r"\\\\", body.decode("utf-8", "replace"))
    return _NOT_PRINTABLE.sub(_escape, text).encode()


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    units = character.encode("utf-16-be").hex()
    return _SHORT.get(character) or "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def _judge(freshness: Freshness, now: float | None, timestamp: bytes) -> None:
    refuse_if(judge(freshness, now, "box-delivery-timestamp", rfc3339, timestamp))
    if freshness.tolerance_seconds is None or now is None or freshness.past_only:
        return
    stamp = rfc3339(timestamp)
    if stamp is not None and stamp > now:  # Box's own libraries refuse any time of the future
        raise Refused("timestamp_in_the_future", f"box-delivery-timestamp is {stamp - now:.0f} s ahead")
