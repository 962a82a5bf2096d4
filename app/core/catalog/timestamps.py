"""Reading the time of signing, and judging its age."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from app.core.catalog.proof import Freshness, NotGenuine
from app.core.catalog.provider import TimeUnit

# Not \d and not int(): they take the digits of every script, signs, blanks and underscores.
_INTEGER = re.compile(rb"[0-9]{1,15}")
_RFC3339 = re.compile(
    rb"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?)(?:[Zz]|([+-][0-9]{2}:[0-9]{2}))"
)
_IMF = re.compile(rb"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")


def seconds(text: bytes) -> float | None:
    """Read whole seconds since the epoch; None here and below: it is no time of this kind. Never raises."""
    return float(text) if _INTEGER.fullmatch(text) else None


def milliseconds(text: bytes) -> float | None:
    """Read whole milliseconds since the epoch."""
    return int(text) / 1000 if _INTEGER.fullmatch(text) else None


def rfc3339(text: bytes) -> float | None:
    """Read a date and a time with its zone, to the nanosecond."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    date, time, offset = match.groups()
    try:
        return datetime.fromisoformat((date + b"T" + time + (offset or b"+00:00")).decode()).timestamp()
    except ValueError:  # the 30th of February
        return None


def imf(text: bytes) -> float | None:
    """Read a date as HTTP writes it."""
    match = _IMF.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        return None
    try:
        day, year, hour, minute, second = map(int, match.group(1, 3, 4, 5, 6))
        return datetime(year, _MONTHS.index(match[2]) + 1, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        return None


Clock = Callable[[bytes], float | None]

READERS: Mapping[TimeUnit, Clock] = {
    "s": seconds,
    "ms": milliseconds,
    "rfc3339": rfc3339,
    "imf": imf,
}


def written(unit: TimeUnit, now: float) -> bytes:
    """Write a time as its provider does."""
    if unit == "s":
        return str(int(now)).encode()
    if unit == "ms":
        return str(int(now * 1000)).encode()
    moment = datetime.fromtimestamp(now, UTC)
    if unit == "rfc3339":
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    month = _MONTHS[moment.month - 1].decode()
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]  # strftime would ask the locale
    return f"{day}, {moment.day:02} {month} {moment.year} {moment:%H:%M:%S} GMT".encode()


def judge(freshness: Freshness, now: float | None, what: str, clock: Clock, text: bytes) -> NotGenuine | None:
    """Say what is wrong with the time at which an authentic request says it was signed; None: nothing."""
    if freshness.tolerance_seconds is None or now is None:
        return None
    stamp = clock(text)
    if stamp is None:
        return NotGenuine("timestamp_malformed", f"authentic, but {what} is no time as it is written here")
    return judge_age(freshness, now - stamp)


def judge_age(freshness: Freshness, age: float) -> NotGenuine | None:
    """Say whether an authentic request is too old, or too far ahead. Exactly the tolerance is still in time."""
    tolerance = freshness.tolerance_seconds
    if tolerance is None:
        return None
    if age > tolerance:
        return NotGenuine("timestamp_too_old", f"authentic, but signed {age:.0f} s ago; {tolerance:g} s are allowed")
    if -age > tolerance and not freshness.past_only:
        return NotGenuine(
            "timestamp_in_the_future",
            f"authentic, but signed {-age:.0f} s ahead of this machine's clock; {tolerance:g} s are allowed",
        )
    return None
