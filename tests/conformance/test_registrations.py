"""What every store of registrations keeps to: one registration brings one secret, within its time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.adapters.memory.registrations import MemoryRegistrations
from app.adapters.postgres.connections import Connections
from app.adapters.postgres.registrations import PostgresRegistrations
from app.core.domain.registration import MOST_SECRETS, PENDING, Registration
from app.core.domain.sealed import Sealed
from app.core.ports.registrations import Registrations
from tests.conftest import PATIENT

A_SECOND = timedelta(seconds=1)
EVERY_BYTE = bytes(range(256))


@dataclass
class Kit:
    """One kind of store, with the sources `asana` and `notion`."""

    store: Registrations
    wait: Callable[[timedelta], Awaitable[None]]
    """Let so much time pass."""


@pytest.fixture(params=["memory", "postgres"])
async def kit(request: pytest.FixtureRequest, database_url: str, database: Any) -> AsyncIterator[Kit]:
    """Each store, empty."""
    now = datetime.now(UTC)

    async def wait(passing: timedelta) -> None:
        nonlocal now
        now += passing

    async def age(passing: timedelta) -> None:
        for table in ("registrations", "registered_secrets"):
            await database.execute(f"UPDATE {table} SET opened_at = opened_at - $1::interval", passing)
        await database.execute("UPDATE registered_secrets SET kept_at = kept_at - $1::interval", passing)

    if request.param == "memory":
        yield Kit(MemoryRegistrations(clock=lambda: now), wait)
        return
    await database.execute("INSERT INTO sources (name, spec) VALUES ('asana', '{}'), ('notion', '{}')")
    connections = Connections(database_url, budget=PATIENT, largest=4)
    yield Kit(PostgresRegistrations(connections), age)
    await connections.close()


def sealed(number: int = 1) -> Sealed:
    return Sealed("0123456789abcdef", number.to_bytes(2, "big") + EVERY_BYTE)


async def contents(store: Registrations, source: str = "asana") -> list[bytes]:
    return [secret.sealed.content for secret in (await store.look(source)).secrets]


async def filled(kit: Kit, count: int) -> None:
    for number in range(count):
        assert await kit.store.open("asana")
        assert await kit.store.keep("asana", sealed(number))
        await kit.wait(A_SECOND)


async def test_at_first_nothing_is_pending_and_nothing_is_kept(kit: Kit) -> None:
    assert await kit.store.look("asana") == Registration(None, pending=False, secrets=())
    assert not await kit.store.keep("asana", sealed())
    assert await contents(kit.store) == []


async def test_an_opened_registration_is_pending_for_an_hour(kit: Kit) -> None:
    ends_at = await kit.store.open("asana")
    found = await kit.store.look("asana")
    assert found.pending
    assert found.ends_at == ends_at
    assert ends_at is not None
    assert abs(ends_at - datetime.now(UTC) - PENDING) < timedelta(minutes=1)
    await kit.wait(PENDING - timedelta(minutes=1))
    assert (await kit.store.look("asana")).pending
    await kit.wait(timedelta(minutes=1))
    found = await kit.store.look("asana")
    assert not found.pending
    assert found.opened_at is not None
    assert not await kit.store.keep("asana", sealed())


async def test_a_secret_is_kept_as_it_is_sealed_and_ends_the_registration(kit: Kit) -> None:
    await kit.store.open("asana")
    assert await kit.store.keep("asana", sealed())
    found = await kit.store.look("asana")
    assert not found.pending
    (kept,) = found.secrets
    assert kept.sealed == sealed()
    assert found.opened_at is not None
    assert kept.kept_at >= found.opened_at


async def test_a_second_secret_is_not_kept(kit: Kit) -> None:
    """Whoever comes first is the one; the provider that comes second is refused, and a person sees it."""
    await kit.store.open("asana")
    assert await kit.store.keep("asana", sealed(1))
    assert not await kit.store.keep("asana", sealed(2))
    assert await contents(kit.store) == [sealed(1).content]


async def test_of_many_secrets_at_once_one_is_kept(kit: Kit) -> None:
    await kit.store.open("asana")
    kept = await asyncio.gather(*(kit.store.keep("asana", sealed(number)) for number in range(8)))
    assert kept.count(True) == 1
    assert await contents(kit.store) == [sealed(kept.index(True)).content]


async def test_each_registration_brings_one_more_and_the_newest_stands_first(kit: Kit) -> None:
    await filled(kit, 3)
    assert await contents(kit.store) == [sealed(number).content for number in (2, 1, 0)]


async def test_opening_again_begins_the_hour_anew(kit: Kit) -> None:
    await kit.store.open("asana")
    await kit.wait(PENDING - A_SECOND)
    await kit.store.open("asana")
    await kit.wait(PENDING - A_SECOND)
    assert await kit.store.keep("asana", sealed())


async def test_where_as_many_are_kept_as_may_be_none_is_pushed_out_and_none_opened(kit: Kit) -> None:
    await filled(kit, MOST_SECRETS)
    before = await kit.store.look("asana")
    assert await kit.store.open("asana") is None
    assert await kit.store.look("asana") == before
    assert await kit.store.forget("asana", before.secrets[-1].id)
    assert await kit.store.open("asana")


async def test_sources_are_kept_apart(kit: Kit) -> None:
    await kit.store.open("asana")
    assert not await kit.store.keep("notion", sealed())
    await kit.store.keep("asana", sealed())
    (kept,) = (await kit.store.look("asana")).secrets
    assert not await kit.store.forget("notion", kept.id)
    assert await kit.store.look("notion") == Registration()
    assert await contents(kit.store) == [sealed().content]


async def test_a_forgotten_secret_is_gone_and_the_others_stay(kit: Kit) -> None:
    await filled(kit, 3)
    newest, middle, oldest = (await kit.store.look("asana")).secrets
    assert await kit.store.forget("asana", middle.id)
    assert not await kit.store.forget("asana", middle.id)
    assert list((await kit.store.look("asana")).secrets) == [newest, oldest]


async def test_forgetting_opens_no_registration_again(kit: Kit) -> None:
    """Somebody else's secret came first and is removed within the hour: who offers the next one is not let in."""
    await kit.store.open("asana")
    await kit.store.keep("asana", sealed(1))
    (kept,) = (await kit.store.look("asana")).secrets
    await kit.store.forget("asana", kept.id)
    assert await kit.store.look("asana") == Registration()
    assert not await kit.store.keep("asana", sealed(2))


async def test_forgetting_an_old_secret_leaves_a_pending_registration_alone(kit: Kit) -> None:
    await filled(kit, 1)
    (kept,) = (await kit.store.look("asana")).secrets
    await kit.store.open("asana")
    await kit.store.forget("asana", kept.id)
    assert (await kit.store.look("asana")).pending


@pytest.mark.parametrize("secret_id", [0, -1, 1, 2**63 - 1, 2**63, 10**30])
async def test_an_id_that_names_nothing_is_simply_not_there(kit: Kit, secret_id: int) -> None:
    assert not await kit.store.forget("asana", secret_id)


@pytest.mark.parametrize("name", ["", "nul\0", "Ünknown", "a" * 5000, "../etc", "\ud800"])
async def test_a_name_that_no_source_can_have_is_simply_not_there(kit: Kit, name: str) -> None:
    assert await kit.store.look(name) == Registration()
    assert not await kit.store.keep(name, sealed())
    assert not await kit.store.forget(name, 1)
