"""Ids that sort by time: UUID version 7 (RFC 9562, method 3: the sub-millisecond part in `rand_a`)."""

from random import getrandbits
from typing import NewType

EventId = NewType("EventId", str)
"""A lower-case UUID with dashes; sorts as text, and in Postgres, by the time it was made."""

RefusalId = NewType("RefusalId", str)
"""The id of a refusal: made and spelled like an event's."""

JobId = NewType("JobId", str)
"""The id of a job: made and spelled like an event's."""

ApiKeyId = NewType("ApiKeyId", str)
"""The id of an API key, which is no secret: made and spelled like an event's."""


_VERSION_AND_VARIANT = 7 << 76 | 2 << 62


def event_id(now_ns: int) -> EventId:
    """Make the id of an event received at `now_ns` (nanoseconds since the epoch)."""
    milliseconds, rest = divmod(now_ns, 1_000_000)
    number = milliseconds << 80 | (rest << 12) // 1_000_000 << 64 | getrandbits(62) | _VERSION_AND_VARIANT
    text = number.to_bytes(16, "big").hex()  # a fifth less time than a format with hexadecimal numbers
    return EventId(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")


def refusal_id(now_ns: int) -> RefusalId:
    """Make the id of a refusal of a request received at `now_ns` (nanoseconds since the epoch)."""
    return RefusalId(event_id(now_ns))


def job_id(now_ns: int) -> JobId:
    """Make the id of a job made at `now_ns` (nanoseconds since the epoch)."""
    return JobId(event_id(now_ns))


def api_key_id(now_ns: int) -> ApiKeyId:
    """Make the id of an API key created at `now_ns` (nanoseconds since the epoch)."""
    return ApiKeyId(event_id(now_ns))


def first_event_id(milliseconds: int) -> EventId:
    """Give the lowest id of a millisecond (since the epoch): a bound for looking up by time."""
    text = f"{milliseconds & (1 << 48) - 1:012x}"
    return EventId(f"{text[:8]}-{text[8:]}-0000-0000-000000000000")


def is_id(text: str) -> bool:
    """Tell whether this could be an id of ours, in its one spelling."""
    return (
        len(text) == 36
        and all(text[place] == "-" for place in (8, 13, 18, 23))
        and text.isascii()
        and all(char in "0123456789abcdef-" for char in text)
        and text.count("-") == 4
    )
