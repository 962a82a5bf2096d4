"""Reading what a provider sent never raises: it is a value, or the reason why there is none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.domain.body import Opaque, Readable, Unreadable, read, read_json


@given(st.text(), st.binary())
def test_nothing_makes_reading_raise(content_type: str, body: bytes) -> None:
    for kind in (content_type, "application/json", "application/x-www-form-urlencoded"):
        read(kind, body)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_json_comes_back_exact_or_is_too_deep(value: object) -> None:
    parsed = read_json(json.dumps(value).encode())
    if isinstance(parsed, Readable):
        assert parsed.value == value
    else:
        assert "deeper" in parsed.reason


def test_large_integers_stay_exact() -> None:
    assert read_json(b'{"id": 123456789012345678901234567890}') == Readable({"id": 123456789012345678901234567890})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[" * 100_000, "nested deeper than 64"),
        (b"[" * 65 + b"]" * 65, "nested deeper than 64"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "nested deeper than 64"),
        (b'"\xff"', "not UTF-8: byte 1"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8"),
        (b"{", "not JSON"),
        (b"NaN", "NaN"),
        (b"[1, -Infinity]", "-Infinity"),
        (b"9" * 5_000, "kept exact"),
        (b'{"a":1} trailing', "not JSON"),
        (b"\0", "not JSON"),
    ],
)
def test_unreadable_json_says_why(body: bytes, reason: str) -> None:
    parsed = read("application/json; charset=utf-8", body)
    assert isinstance(parsed, Unreadable)
    assert reason in parsed.reason
    assert len(parsed.reason) < 200


def test_brackets_in_strings_are_not_depth() -> None:
    body = json.dumps({"text": '[{"\\' * 500}).encode()
    assert isinstance(read_json(body), Readable)


def test_64_levels_are_read() -> None:
    assert isinstance(read_json(b"[" * 64 + b"]" * 64), Readable)


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_json(b'\xef\xbb\xbf{"a":1}') == Readable({"a": 1})


def test_forms_are_read_with_repeated_names_as_lists() -> None:
    parsed = read("application/x-www-form-urlencoded", b"a=1&b=%C3%A9&a=2&c=")
    assert parsed == Readable({"a": ["1", "2"], "b": "é", "c": ""})


def test_a_broken_form_says_why() -> None:
    assert isinstance(read("application/x-www-form-urlencoded", b"a=%ff"), Unreadable)
    assert isinstance(read("application/x-www-form-urlencoded", b"&".join([b"a=1"] * 10_001)), Unreadable)


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/octet-stream", "application/xml"])
def test_other_types_and_empty_bodies_are_never_unreadable(content_type: str | None) -> None:
    assert read(content_type, b"\xff{") == Opaque()
    assert read("application/json", b"") == Opaque()
