"""Ids sort by time and are UUIDs of version 7."""

import uuid
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from app.core.domain.ids import event_id, first_event_id, is_id

moments = st.integers(0, 4_000_000_000_000_000_000)


@given(moments, moments)
def test_ids_sort_as_their_times_do(one: int, two: int) -> None:
    # The sub-millisecond part has 12 bits: 244 nanoseconds.
    if abs(one - two) > 500:
        assert (event_id(one) < event_id(two)) is (one < two)


@given(moments)
def test_an_id_is_a_uuid_of_version_7_with_its_milliseconds(now_ns: int) -> None:
    made = event_id(now_ns)
    parsed = uuid.UUID(made)
    assert str(parsed) == made
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == now_ns // 1_000_000
    assert is_id(made)
    assert first_event_id(now_ns // 1_000_000) <= made < first_event_id(now_ns // 1_000_000 + 1)


def test_ids_of_one_moment_differ() -> None:
    now = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1e9)
    assert len({event_id(now) for _ in range(10_000)}) == 10_000


@given(st.text())
def test_what_is_no_id_is_seen(text: str) -> None:
    if is_id(text):
        assert str(uuid.UUID(text)) == text
