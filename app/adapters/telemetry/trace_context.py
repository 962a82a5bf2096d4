"""W3C trace context and other words of senders, read with suspicion; and a trace for requests that nobody records."""

import re
from random import getrandbits
from typing import NamedTuple

from app.core.ports.telemetry import Trace

# Version ff and ids of zeros are invalid; a later version may add fields, version 00 may not.
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[^\r\n]*)?"
)
_STATE_KEY = r"[a-z0-9][a-z0-9_\-*/]{0,240}(?:@[a-z][a-z0-9_\-*/]{0,13})?"
_STATE_MEMBER = re.compile(rf"({_STATE_KEY})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e])")
_LONGEST_TRACEPARENT = 512
_LONGEST_TRACESTATE = 512  # the least that W3C asks a service to pass on
_MOST_STATE_MEMBERS = 32
_NO_ZERO_IDS = 1 | 1 << 64 | 1 << 128


class Remote(NamedTuple):
    """A sender's span, by its own word."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    flags: int


def remote(traceparent: str | None) -> Remote | None:
    """Read a `traceparent` header; None for one that is absent or malformed in any way."""
    if not traceparent or len(traceparent) > _LONGEST_TRACEPARENT:
        return None
    match = _TRACEPARENT.fullmatch(traceparent.strip(" \t"))
    if match is None or (match[1] == "00" and match[5] is not None):
        return None
    return Remote(match[2], match[3], int(match[4], 16))


def state_members(tracestate: str | None) -> list[tuple[str, str]]:
    """Read a `tracestate` header into its members; none of them where it is too long or malformed in any way.

    The SDK's own reader logs what it does not understand, which would put a sender's text into our log.
    """
    if not tracestate or len(tracestate) > _LONGEST_TRACESTATE:
        return []
    members: dict[str, str] = {}
    for member in tracestate.split(","):
        if text := member.strip(" \t"):
            match = _STATE_MEMBER.fullmatch(text)
            if match is None or match[1] in members:
                return []
            members[match[1]] = match[2]
    return list(members.items()) if len(members) <= _MOST_STATE_MEMBERS else []


def clean(text: str, longest: int) -> str:
    """Cut a text, and replace lone surrogates, one of which would spoil a whole export of spans or a log line."""
    text = text[:longest]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


class UnrecordedTrace(Trace):
    """A trace without spans: ids for log lines, answers and the work that continues it."""

    __slots__ = ("trace_id", "traceparent")
    trace_id: str
    traceparent: str

    def __init__(self, trace_id: str, traceparent: str) -> None:
        self.trace_id = trace_id
        self.traceparent = traceparent


def fresh_ids() -> bytes:
    """Draw 24 bytes: the ids of a trace and a span, or of three spans. None of them is all zeros, which means no id."""
    return (getrandbits(192) | _NO_ZERO_IDS).to_bytes(24, "big")


def unrecorded(parent: Remote | None = None) -> UnrecordedTrace:
    """Make a trace with random ids, or pass the sender's on as it is, since no span of ours comes between."""
    if parent is not None:
        return UnrecordedTrace(parent.trace_id, f"00-{parent.trace_id}-{parent.span_id}-{parent.flags & 1:02x}")
    ids = fresh_ids().hex()
    trace_id = ids[:32]
    return UnrecordedTrace(trace_id, f"00-{trace_id}-{ids[32:]}-00")
