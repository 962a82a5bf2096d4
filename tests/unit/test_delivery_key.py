"""What makes two deliveries the same, whatever a sender puts into an id."""

from hypothesis import given
from hypothesis import strategies as st

from app.core.domain.delivery_key import LONGEST_DELIVERY_ID, as_id, delivery_key, printable
from app.core.domain.source import NAME

names = st.from_regex(NAME, fullmatch=True)


@given(names, st.binary(), names, st.binary())
def test_keys_are_the_same_only_for_the_same_source_and_id(one: str, id_one: bytes, two: str, id_two: bytes) -> None:
    same = (one, id_one) == (two, id_two)
    assert (delivery_key(one, id_one) == delivery_key(two, id_two)) is same


@given(names, st.binary(max_size=64))
def test_a_key_is_32_bytes_and_always_the_same(name: str, raw_id: bytes) -> None:
    assert len(delivery_key(name, raw_id)) == 32
    assert delivery_key(name, raw_id) == delivery_key(name, bytes(raw_id))


@given(names, st.binary(min_size=1), st.data())
def test_one_changed_bit_makes_another_key(name: str, raw_id: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(raw_id) * 8 - 1))
    changed = bytearray(raw_id)
    changed[place // 8] ^= 1 << place % 8
    assert delivery_key(name, bytes(changed)) != delivery_key(name, raw_id)


def test_no_id_of_one_source_can_pose_as_another_source() -> None:
    """A source's name holds no NUL, so what comes before the first one is the name."""
    assert delivery_key("a", b"b\0c") == delivery_key("a\0b", b"c")
    assert NAME.fullmatch("a\0b") is None


@given(st.binary(max_size=5_000))
def test_an_id_is_shown_in_one_harmless_line(raw_id: bytes) -> None:
    """No NUL for Postgres, no control character for a terminal, no surrogate for UTF-8, not too long."""
    shown = printable(raw_id)
    assert len(shown) <= LONGEST_DELIVERY_ID
    assert shown.isprintable()
    shown.encode()


def test_hostile_ids_are_shown_escaped() -> None:
    assert printable(b"evt_1") == "evt_1"
    assert printable(b"a\0b\x1b[31m") == "a\\x00b\\x1b[31m"
    assert printable(b"\xff") == "\\xff"
    assert printable("\u202eevil".encode()) == "\\u202eevil"
    assert printable(b"x" * 20_000) == "x" * 1_024


@given(st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.floats(), st.lists(st.integers())))
def test_only_texts_and_integers_identify(value: object) -> None:
    identifies = (isinstance(value, str) and value != "") or (isinstance(value, int) and not isinstance(value, bool))
    assert (as_id(value) is not None) is identifies


def test_a_lone_surrogate_identifies_and_does_not_raise() -> None:
    assert as_id("\ud800") == b"\xed\xa0\x80"
