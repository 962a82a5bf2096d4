"""What every store of API keys keeps to: the one in memory and the one in Postgres, bare and kept at hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from app.adapters.memory.api_keys import MemoryApiKeys
from app.adapters.postgres.api_keys import PostgresApiKeys
from app.adapters.postgres.connections import Connections
from app.adapters.postgres.engine import make_engine
from app.core.domain.api_key import ApiKey, NewApiKey, Scope
from app.core.domain.ids import ApiKeyId, api_key_id
from app.core.policies.cached_api_keys import CachedApiKeys
from app.core.ports.api_keys import ApiKeys
from tests.conftest import PATIENT

T0 = 1_790_000_000_000_000_000
NOON = datetime(2026, 11, 2, 12, 0, 0, 123456, tzinfo=UTC)
_moments = count(T0, 1_000_000_000)


@pytest.fixture(params=["memory", "postgres", "cached-memory", "cached-postgres"])
async def keys(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[ApiKeys]:
    """Each store, empty."""
    cached, _, kind = request.param.rpartition("-")
    async with AsyncExitStack() as stack:
        store: ApiKeys = MemoryApiKeys()
        if kind == "postgres":
            connections = Connections(database_url, budget=PATIENT, largest=4)
            stack.push_async_callback(connections.close)
            engine = make_engine(database_url, budget=PATIENT, largest=2)
            stack.push_async_callback(engine.dispose)
            store = PostgresApiKeys(connections, engine)
        yield CachedApiKeys(store) if cached else store


def a_key(name: str = "deploy", scope: Scope = Scope.READ, expires_at: datetime | None = None) -> NewApiKey:
    return NewApiKey(api_key_id(next(_moments)), name, f"oc_{name}", name.encode().ljust(32), scope, expires_at)


async def noted(keys: ApiKeys, key_id: ApiKeyId) -> datetime | None:
    if isinstance(keys, CachedApiKeys):
        await keys.write_uses()
    return next(key.last_used_at for key in await keys.all() if key.id == key_id)


@pytest.mark.parametrize("scope", Scope)
async def test_a_key_is_found_by_its_digest_as_it_was_created(keys: ApiKeys, scope: Scope) -> None:
    new = a_key("deploy", scope, NOON)
    created = await keys.create(new)
    assert created is not None
    age = datetime.now(UTC) - created.created_at
    assert abs(age) < timedelta(seconds=30)
    assert created == ApiKey(new.id, "deploy", "oc_deploy", scope, created.created_at, NOON, None, None)
    assert await keys.find(new.digest) == created
    assert await keys.all() == [created]
    assert await keys.find(b"\0" * 32) is None


async def test_a_name_is_given_once_and_for_ever(keys: ApiKeys) -> None:
    """Else `key:deploy` in the audit log would mean two."""
    first, second = a_key("deploy"), a_key("deploy")._replace(digest=b"other".ljust(32))
    assert await keys.create(first)
    assert await keys.create(second) is None
    await keys.revoke(first.id)
    assert await keys.create(second) is None
    assert await keys.find(second.digest) is None
    assert [key.id for key in await keys.all()] == [first.id]


async def test_of_many_that_create_one_name_at_once_one_does(keys: ApiKeys) -> None:
    new = [a_key("deploy")._replace(digest=bytes([number]) * 32) for number in range(8)]
    created = await asyncio.gather(*(keys.create(key) for key in new))
    assert sum(key is not None for key in created) == 1


async def test_a_revoked_key_is_found_no_more_but_listed_and_the_first_time_stays(keys: ApiKeys) -> None:
    new, other = a_key(), a_key("other")
    await keys.create(new)
    await keys.create(other)
    assert await keys.find(new.digest)
    assert await keys.revoke(new.id)
    assert await keys.find(new.digest) is None
    revoked = (await keys.all())[0]
    assert revoked.revoked_at is not None
    assert await keys.revoke(new.id)
    assert (await keys.all())[0] == revoked
    assert await keys.find(other.digest)


async def test_what_was_never_created_cannot_be_revoked(keys: ApiKeys) -> None:
    assert not await keys.revoke(api_key_id(T0))


async def test_one_that_has_expired_is_found(keys: ApiKeys) -> None:
    new = a_key(expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    await keys.create(new)
    found = await keys.find(new.digest)
    assert found is not None
    assert found.state(datetime.now(UTC)) == "expired"


async def test_of_several_uses_the_latest_is_noted(keys: ApiKeys) -> None:
    new, other = a_key(), a_key("other")
    await keys.create(new)
    await keys.create(other)
    for at in (NOON, NOON + timedelta(minutes=1), NOON - timedelta(minutes=1)):
        await keys.note_uses({new.id: at, api_key_id(T0): at})
        await noted(keys, new.id)
    await keys.note_uses({})
    assert await noted(keys, new.id) == NOON + timedelta(minutes=1)
    assert await noted(keys, other.id) is None
