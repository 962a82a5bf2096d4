"""Writing JSON exactly: what was read comes out again."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.domain.json_text import json_bytes

TEXTS = st.text(st.characters(codec=None), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(value=JSON)
def test_what_is_written_is_read_back_as_it_was(value: object) -> None:
    written = json_bytes(value)
    assert b"\n" not in written
    assert repr(json.loads(written.decode())) == repr(value)


DEEP: list[object] = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "value", [float("nan"), [float("-inf")], 10**5000, DEEP, b"", {1, 2}, object()], ids=lambda v: type(v).__name__
)
def test_what_cannot_be_is_told(value: object) -> None:
    with pytest.raises(ValueError, match=r"^it (cannot be written|is nested|holds something)"):
        json_bytes(value)
