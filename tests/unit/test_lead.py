"""A lead is judged before it is kept, and everything that is wrong with it is said at once."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.domain.lead import FIELDS, Lead, read_lead

GOOD = {
    "lead_id": "00Q5e000001",
    "email": "ada@example.com",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "source": "web",
}


def faults(lead: Any) -> dict[str, str]:
    read = read_lead(json.dumps(lead).encode())
    assert isinstance(read, tuple)
    return {fault.where: fault.message for fault in read}


def test_a_valid_lead_is_read_whatever_else_it_holds() -> None:
    assert read_lead(json.dumps({**GOOD, "score": 7, "tags": ["a"]}).encode()) == Lead("00Q5e000001")


def test_every_missing_field_is_named() -> None:
    assert faults({}) == dict.fromkeys(FIELDS, "is required")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("lead_id", None, "is required"),
        ("lead_id", 7, "must be a string"),
        ("first_name", "", "must not be empty"),
        ("last_name", " \t", "must not be empty"),
        ("source", ["web"], "must be a string"),
        ("first_name", "x" * 1_025, "must have at most 1024 characters"),
        ("email", "ada", "must be an e-mail address"),
        ("email", "ada@", "must be an e-mail address"),
        ("email", "ada@example", "must be an e-mail address"),
        ("email", "a b@example.com", "must be an e-mail address"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_wrong(field: str, value: Any, message: str) -> None:
    assert faults({**GOOD, field: value}) == {field: message}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_said_of_the_body(body: bytes) -> None:
    read = read_lead(body)
    assert isinstance(read, tuple)
    assert [fault.where for fault in read] == ["body"]


@given(st.binary())
def test_nothing_makes_it_raise(body: bytes) -> None:
    read_lead(body)
