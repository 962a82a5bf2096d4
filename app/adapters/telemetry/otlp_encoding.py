"""OTLP's protobuf, written by hand: what the SDK builds as objects first is put together here from ready-made pieces.

Field numbers are those of opentelemetry-proto 1.x: `common/v1/common.proto` (AnyValue, KeyValue, InstrumentationScope),
`resource/v1/resource.proto`, `trace/v1/trace.proto` (Span and what is around it) and `collector/trace/v1`. A tag is
`number << 3 | type`; types: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes. Everything here is held against
the real library in tests/adapters/test_otlp_encoding.py.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from opentelemetry.sdk.resources import Resource

# Span
TRACE_ID = b"\x0a\x10"
SPAN_ID = b"\x12\x08"
PARENT_SPAN_ID = b"\x22\x08"
_TRACE_STATE = b"\x1a"
_NAME = b"\x2a"
_KIND = b"\x30"
ATTRIBUTE = b"\x4a"
_DROPPED_ATTRIBUTES = b"\x50"
_LINK = b"\x6a"
_DROPPED_LINKS = b"\x70"
STATUS_UNSET = b"\x7a\x00"  # the SDK writes it as well
STATUS_ERROR = b"\x7a\x02\x18\x02"
KINDS = {"INTERNAL": b"\x01", "SERVER": b"\x02", "CLIENT": b"\x03"}

# SpanFlags: bit 8 says that bit 9 means something; bit 9 says that the parent, or what is linked, is of elsewhere.
_FLAGS = struct.Struct("<I")
LOCAL_FLAGS = b"\x85\x01" + _FLAGS.pack(0x100)
REMOTE_FLAGS = b"\x85\x01" + _FLAGS.pack(0x300)
_LINK_FLAGS = 0x35

_TIMES = struct.Struct("<cQcQ")
_DOUBLE = struct.Struct("<cd")

# ScopeSpans.spans
SPAN = b"\x12"

Value = str | bool | int | float | bytes | Sequence[object]


class Limits(NamedTuple):
    """What `OTEL_*_LIMIT` allow; None: anything."""

    attributes: int | None = None
    value_length: int | None = None
    """Characters of a text."""
    links: int | None = None


def varint(number: int) -> bytes:
    """Write a number from 0 to 2⁶⁴ − 1 in groups of seven bits, the lowest first."""
    if number < 0x80:
        return bytes((number,))
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


SMALL = [varint(number) for number in range(4096)]
"""The varints of most lengths and sizes."""


def block(tag: bytes, content: bytes) -> bytes:
    """Write a field that says its length."""
    return tag + varint(len(content)) + content


def text(words: str, longest: int | None = None) -> bytes:
    """Write a text; what no encoding knows becomes a question mark, as it would spoil the whole export."""
    return words[:longest].encode("utf-8", "replace")


def any_value(value: object, longest: int | None = None) -> bytes | None:  # noqa: PLR0911 (one a type)
    """Write an AnyValue; None for one that it cannot hold, such as an integer beyond 64 bits."""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, str):
        return block(b"\x0a", text(value, longest))
    if isinstance(value, int):
        return b"\x18" + varint(value & 0xFFFF_FFFF_FFFF_FFFF) if -(1 << 63) <= value < 1 << 63 else None
    if isinstance(value, float):
        return _DOUBLE.pack(b"\x21", value)
    if isinstance(value, bytes):
        return block(b"\x3a", value)
    if isinstance(value, Sequence):
        held = [written for item in value if (written := any_value(item, longest)) is not None]
        return block(b"\x2a", b"".join(block(b"\x0a", item) for item in held)) if len(held) == len(value) else None
    return None


def pair(key: str, value: object, longest: int | None = None) -> bytes:
    """Write a KeyValue; nothing where its value cannot be written."""
    written = any_value(value, longest)
    return b"" if written is None else block(b"\x0a", text(key)) + block(b"\x12", written)


def attributes(values: Mapping[str, object], limits: Limits) -> bytes:
    """Write a span's attributes. Beyond their number the first are left out and counted, as the SDK does it."""
    surplus = 0 if limits.attributes is None else max(len(values) - limits.attributes, 0)
    kept = [pair(key, value, limits.value_length) for key, value in list(values.items())[surplus:]]
    written = b"".join(block(ATTRIBUTE, one) for one in kept if one)
    return written + _DROPPED_ATTRIBUTES + varint(surplus) if surplus else written


def names(name: str, kind: str) -> bytes:
    """Write a span's name and kind."""
    return block(_NAME, text(name)) + _KIND + KINDS[kind]


def times(started_ns: int, ended_ns: int) -> bytes:
    """Write a span's times; it does not end before it starts, even where the clock was set back."""
    return _TIMES.pack(b"\x39", started_ns, b"\x41", max(started_ns, ended_ns))


def link(trace_id: bytes, span_id: bytes, limits: Limits, *, remote: bool) -> bytes:
    """Write a span's only link."""
    if limits.links == 0:
        return _DROPPED_LINKS + b"\x01"
    flags = struct.pack("<BI", _LINK_FLAGS, 0x300 if remote else 0x100)
    return block(_LINK, TRACE_ID + trace_id + SPAN_ID + span_id + flags)


def trace_state(members: Iterable[tuple[str, str]]) -> bytes:
    """Write what vendors passed along."""
    written = ",".join(f"{key}={value}" for key, value in members)
    return block(_TRACE_STATE, text(written)) if written else b""


class Envelope:
    """What is around the spans of one resource and one scope."""

    def __init__(self, resource: Resource, scope: str) -> None:
        """Write what is the same every time."""
        about = b"".join(block(b"\x0a", pair(key, value)) for key, value in resource.attributes.items())
        self._resource = block(b"\x0a", about)
        self._schema = block(b"\x1a", text(resource.schema_url)) if resource.schema_url else b""
        self._scope = block(b"\x0a", block(b"\x0a", text(scope)))

    def wrap(self, spans: Sequence[bytes]) -> bytes:
        """Make an ExportTraceServiceRequest of spans, each with its tag and length."""
        inside = b"".join(spans)
        scope_length = varint(len(self._scope) + len(inside))
        around = len(self._resource) + 1 + len(scope_length) + len(self._scope) + len(inside) + len(self._schema)
        return b"".join(
            (b"\x0a", varint(around), self._resource, b"\x12", scope_length, self._scope, inside, self._schema)
        )
