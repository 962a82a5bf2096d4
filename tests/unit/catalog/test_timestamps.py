"""Signed times: what is one, and when it is fresh."""

import pytest

from app.core.catalog.proof import Freshness
from app.core.catalog.timestamps import READERS, imf, judge, milliseconds, rfc3339, seconds, written


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"-1",
        b"+1",
        b"1.5",
        b"1_0",
        b" 1",
        b"1 ",
        b"\xd9\xa1",
        b"\xc2\xb2",
        b"1" * 16,
        b"1" * 5_000,
        b"0x1",
        b"1e3",
    ],
)
def test_a_whole_number_has_up_to_fifteen_ascii_digits(text: bytes) -> None:
    assert seconds(text) is None
    assert milliseconds(text) is None


def test_a_whole_number_counts_seconds_or_milliseconds() -> None:
    assert seconds(b"1700000000") == 1_700_000_000
    assert milliseconds(b"1700000000123") == 1_700_000_000.123


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"2023-11-14T22:13:20Z", 1_700_000_000),
        (b"2023-11-14T22:13:20.000000001Z", 1_700_000_000),
        (b"2023-11-14T15:13:20-07:00", 1_700_000_000),
        (b"2023-11-14T22:13:20", None),
        (b"2023-02-30T00:00:00Z", None),
        (b"2023-11-14T22:13:20Z\n", None),
        (b"20231114T221320Z", None),
    ],
)
def test_a_date_has_a_zone(text: bytes, expected: float | None) -> None:
    assert rfc3339(text) == expected


def test_the_first_hour_of_the_calendar_is_a_time_too() -> None:
    assert rfc3339(b"0001-01-01T00:00:00+23:59") is not None


@pytest.mark.parametrize(
    ("now", "freshness", "code"),
    [
        (1_300.0, Freshness(300), None),
        (1_301.0, Freshness(300), "timestamp_too_old"),
        (700.0, Freshness(300), None),
        (699.0, Freshness(300), "timestamp_in_the_future"),
        (0.0, Freshness(300, past_only=True), None),
        (9_999.0, Freshness(None), None),
        (None, Freshness(300), None),
    ],
)
def test_exactly_the_tolerance_is_still_fresh(now: float | None, freshness: Freshness, code: str | None) -> None:
    fault = judge(freshness, now, "time", seconds, b"1000")
    assert (fault.code if fault else None) == code


def test_what_is_no_time_is_not_fresh() -> None:
    fault = judge(Freshness(300), 0.0, "time", seconds, b"soon")
    assert fault is not None
    assert (fault.code, fault.detail) == ("timestamp_malformed", "authentic, but time is no time as it is written here")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"Tue, 14 Nov 2023 22:13:20 GMT", 1_700_000_000),
        (b"Tue, 14 Nov 2023 22:13:20 +0000", None),
        (b"Tue, 14 November 2023 22:13:20 GMT", None),
        (b"Tue, 14 Foo 2023 22:13:20 GMT", None),
        (b"Tue, 31 Feb 2023 22:13:20 GMT", None),
        (b"Tue, 14 Nov 0000 22:13:20 GMT", None),
        (b"", None),
    ],
)
def test_a_date_of_http_is_in_greenwich_time(text: bytes, expected: float | None) -> None:
    assert imf(text) == expected


def test_what_is_written_is_read() -> None:
    assert written("imf", 1_700_000_000) == b"Tue, 14 Nov 2023 22:13:20 GMT"
    for unit, read in READERS.items():
        assert read(written(unit, 1_700_000_000)) == 1_700_000_000
