"""Creating and revoking keys, each written down before it is done."""

from datetime import UTC, datetime, timedelta

import pytest

from app.adapters.memory.api_keys import MemoryApiKeys
from app.adapters.memory.audit_log import MemoryAuditLog
from app.core.domain.api_key import KEY_BYTES, Scope, digest_of, spelled
from app.core.domain.audit import AuditEntry, NewAuditEntry
from app.core.domain.errors import Invalid, Unavailable
from app.core.use_cases.manage_keys import ManageKeys
from tests.operators import ADA

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
RANDOM = bytes(range(KEY_BYTES))


class House:
    """The use case on memory."""

    def __init__(self) -> None:
        self.keys, self.audit = MemoryApiKeys(), MemoryAuditLog()
        self.manage = ManageKeys(self.keys, self.audit, lambda size: RANDOM[:size], self.clock_ns)
        self.created = 0

    def clock_ns(self) -> int:
        self.created += 1
        return int(NOW.timestamp()) * 10**9 + self.created


async def test_a_created_key_is_found_by_its_text_and_its_text_is_nowhere_else() -> None:
    house = House()
    until = NOW + timedelta(days=90)
    created = await house.manage.create("deploy", Scope.OPERATE, ADA, expires_at=until)
    assert created.text == spelled(RANDOM)
    assert await house.keys.find(digest_of(created.text.encode())) == created.key
    assert (created.key.name, created.key.scope, created.key.expires_at) == ("deploy", Scope.OPERATE, until)
    assert created.text.startswith(created.key.prefix)
    (entry,) = house.audit.entries
    assert (entry.actor, entry.action, entry.target) == ("cli:ada", "key.create", "deploy")
    assert entry.details == {
        "id": created.key.id,
        "prefix": created.key.prefix,
        "scope": "operate",
        "expires_at": "2027-01-31T12:00:00+00:00",
    }
    assert created.text not in repr(entry)


@pytest.mark.parametrize(
    ("name", "expires_at", "message"),
    [
        ("Deploy", None, "name: is no name for a key"),
        ("deploy", None, "name: deploy was given before"),
        ("other", NOW, "expires_at: is over already"),
        ("", NOW - timedelta(days=1), "name: is no name for a key.*; expires_at: is over already"),
    ],
)
async def test_what_cannot_be_created_says_why_and_is_no_action(
    name: str, expires_at: datetime | None, message: str
) -> None:
    house = House()
    await house.manage.create("deploy", Scope.READ, ADA)
    with pytest.raises(Invalid, match=message):
        await house.manage.create(name, Scope.READ, ADA, expires_at=expires_at)
    assert (len(await house.keys.all()), len(house.audit.entries)) == (1, 1)


async def test_a_key_is_revoked_by_id_or_by_name_and_once() -> None:
    house = House()
    first = (await house.manage.create("first", Scope.READ, ADA)).key
    await house.manage.create("second", Scope.READ, ADA)
    for id_or_name in (first.id, "second", first.id, "first"):
        revoked = await house.manage.revoke(id_or_name, ADA)
        assert revoked is not None
        assert revoked.revoked_at is not None
    assert await house.manage.revoke("third", ADA) is None
    assert [(entry.action, entry.target) for entry in house.audit.entries[2:]] == [
        ("key.revoke", "first"),
        ("key.revoke", "second"),
    ]


class Away(MemoryAuditLog):
    async def append(self, entry: NewAuditEntry) -> AuditEntry:
        raise Unavailable(f"nobody writes {entry.action} down")


async def test_what_cannot_be_written_down_is_not_done() -> None:
    house = House()
    await house.manage.create("old", Scope.READ, ADA)
    manage = ManageKeys(house.keys, Away(), lambda size: RANDOM[:size], house.clock_ns)
    with pytest.raises(Unavailable, match=r"key\.create"):
        await manage.create("new", Scope.READ, ADA)
    with pytest.raises(Unavailable, match=r"key\.revoke"):
        await manage.revoke("old", ADA)
    assert [(key.name, key.revoked_at) for key in await house.keys.all()] == [("old", None)]
