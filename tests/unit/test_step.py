"""The keys of effects, and what is left of steps that a person lets go on."""

from hypothesis import given
from hypothesis import strategies as st

from app.core.domain.step import StepRecord, StepStatus, idempotency_key, resumed
from tests.unit.catalog.fuzzed import fuzzed

words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
parts = st.tuples(words, words, words, st.integers(1, 3), st.integers(0, 3))


@given(parts, parts)
@fuzzed(usually=200)
def test_a_key_is_the_same_for_the_same_effect_and_for_no_other(
    one: tuple[str, str, str, int, int], other: tuple[str, str, str, int, int]
) -> None:
    assert (idempotency_key(*one) == idempotency_key(*other)) == (one == other)
    assert len(idempotency_key(*one)) == 32
    assert set(idempotency_key(*one)) <= set("0123456789abcdef")


def test_a_key_stays_the_same_in_later_versions() -> None:
    """Other sides remember keys: what changes how they are made doubles what is under way."""
    assert idempotency_key("019a0e2c", "welcome", "post", 1) == "9d452360f7121559b95a1e2f5abbed56"


def test_what_is_done_stays_and_the_rest_begins_anew() -> None:
    done = StepRecord("a", StepStatus.COMPLETED, [1], None, None, 3, 1.5, "k")
    left = [status for status in StepStatus if status is not done.status]
    others = [StepRecord("b", status, None, "broken", "http_503", 7, 1.5, "k") for status in left]
    assert resumed([done, *others]) == (done, *(StepRecord("b") for _ in others))
