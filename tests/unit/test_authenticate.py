"""Whose key it is: the admin key asks nobody; the others are looked up, and end."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from app.adapters.memory.api_keys import MemoryApiKeys
from app.core.domain.api_key import KEY_BYTES, ApiKey, NewApiKey, Scope, digest_of, spelled
from app.core.domain.errors import Unavailable
from app.core.domain.ids import ApiKeyId, api_key_id
from app.core.use_cases.authenticate import ADMIN, Authenticate, Caller

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
TEXT = spelled(b"\x07" * KEY_BYTES).encode()
KEY = NewApiKey(api_key_id(10**18), "deploy", "oc_", digest_of(TEXT), Scope.OPERATE, NOW + timedelta(hours=1))


class Away(MemoryApiKeys):
    async def find(self, digest: bytes) -> ApiKey | None:
        raise Unavailable("away")

    async def note_uses(self, uses: Mapping[ApiKeyId, datetime]) -> None:
        raise Unavailable("away")


async def test_a_kept_key_is_its_holder_s_until_it_ends_and_its_use_is_noted() -> None:
    keys, now = MemoryApiKeys(), NOW
    authenticate = Authenticate(keys, digest_of(b"admin"), lambda: now)
    await keys.create(KEY)
    assert await authenticate(TEXT) == Caller("key:deploy", Scope.OPERATE)
    assert [key.last_used_at for key in await keys.all()] == [NOW]
    now = NOW + timedelta(hours=1)
    assert await authenticate(TEXT) is None
    assert [key.last_used_at for key in await keys.all()] == [NOW]


async def test_a_revoked_key_is_nobody_s() -> None:
    keys = MemoryApiKeys()
    await keys.create(KEY)
    await keys.revoke(KEY.id)
    assert await Authenticate(keys, None)(TEXT) is None


async def test_the_admin_key_works_whoever_is_away() -> None:
    authenticate = Authenticate(Away(), digest_of(b"admin"))
    assert await authenticate(b"admin") == ADMIN
    with pytest.raises(Unavailable):
        await authenticate(TEXT)


@pytest.mark.parametrize("text", [b"", b"admin ", b"Admin", b"\xff", b"oc_", TEXT + b"x"])
async def test_what_cannot_be_a_key_is_asked_for_nowhere(text: bytes) -> None:
    assert await Authenticate(Away(), digest_of(b"admin"))(text) is None


async def test_without_an_admin_key_nothing_is_one() -> None:
    for text in (b"", b"None", bytes(32)):
        assert await Authenticate(Away(), None)(text) is None
