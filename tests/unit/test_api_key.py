"""How a key is spelled, what its scope includes, and until when it is valid."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.domain.api_key import KEY_BYTES, ApiKey, Scope, is_name, is_spelled, prefix_of, spelled
from app.core.domain.ids import api_key_id

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
A_MOMENT = timedelta(microseconds=1)


@given(st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES))
def test_a_key_is_spelled_in_one_way_and_shows_its_first_48_bits(random: bytes) -> None:
    key = spelled(random)
    assert (len(key), key[:3]) == (46, "oc_")
    assert is_spelled(key.encode())
    assert prefix_of(key) == key[:11]
    assert spelled(bytes(KEY_BYTES)) == key or random != bytes(KEY_BYTES)


@pytest.mark.parametrize("text", [b"", b"oc_", b"oc_" + b"a" * 42, b"oc_" + b"a" * 44, b"oc_" + b"+" * 43, b"a" * 46])
def test_what_cannot_be_a_key_is_seen_without_asking(text: bytes) -> None:
    assert not is_spelled(text)
    assert not is_spelled(b"oc_" + b"a" * 43 + b"\n")


def test_each_scope_includes_those_before_it() -> None:
    included = {scope: [other for other in Scope if scope.includes(other)] for scope in Scope}
    assert included == {
        Scope.READ: [Scope.READ],
        Scope.OPERATE: [Scope.READ, Scope.OPERATE],
        Scope.ADMIN: [Scope.READ, Scope.OPERATE, Scope.ADMIN],
    }


def test_a_key_is_valid_until_its_time_and_never_once_it_is_revoked() -> None:
    def state(expires_at: datetime | None, revoked_at: datetime | None = None) -> str:
        key = ApiKey(api_key_id(0), "ada", "oc_", Scope.READ, NOW, expires_at, revoked_at, None)
        return key.state(NOW)

    assert [state(at) for at in (None, NOW + A_MOMENT, NOW, NOW - A_MOMENT)] == ["valid", "valid", "expired", "expired"]
    assert [state(at, NOW) for at in (None, NOW + A_MOMENT, NOW)] == ["revoked"] * 3


@pytest.mark.parametrize("name", ["a", "0", "deploy-2", "grafana.prod", "a" * 63])
def test_a_plain_name_is_one(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", "A", "-a", "a-", "a b", "a\n", "é", "a" * 64, "00000000-0000-7000-8193-f0d7d8b9948e", "key:a"]
)
def test_what_a_terminal_or_another_key_could_be_confused_by_is_no_name(name: str) -> None:
    assert not is_name(name)
