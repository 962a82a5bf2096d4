"""Opening registrations, showing what came, and removing it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.adapters.memory.audit_log import MemoryAuditLog
from app.adapters.memory.source_registry import MemorySourceRegistry
from app.core.domain.errors import Forbidden, NotOpened
from app.core.domain.registration import MOST_SECRETS, PENDING
from app.core.use_cases.register_source import RegisterSource
from tests.operators import ADA
from tests.registering import ASANA, House

SECRETS = [f"canary-{number}".encode() for number in range(MOST_SECRETS)]


def registering(house: House, secrets: tuple[str, ...] = ASANA.secrets) -> RegisterSource:
    sources = MemorySourceRegistry([replace(ASANA, secrets=secrets)])
    return RegisterSource(sources, house.registrations, house.sealing, MemoryAuditLog())


async def filled(house: House, count: int) -> RegisterSource:
    register = registering(house)
    for secret in SECRETS[:count]:
        assert await register("asana", ADA)
        await house.offer(ASANA, secret)
        house.now += timedelta(seconds=1)
    return register


async def test_a_registration_is_open_for_an_hour() -> None:
    house = House()
    opened = await registering(house)("asana", ADA)
    assert opened is not None
    assert (opened.source, opened.until, opened.missing) == (ASANA, house.now + PENDING, None)
    assert (await house.registrations.look("asana")).pending


async def test_a_name_that_no_source_has_opens_nothing() -> None:
    house = House()
    assert await registering(house)("notion", ADA) is None
    assert not (await house.registrations.look("notion")).pending


@pytest.mark.parametrize("secrets", [(), ("env:ASANA",), ("handshake:notion",)])
async def test_a_source_that_takes_no_secret_from_a_handshake_cannot_be_registered(secrets: tuple[str, ...]) -> None:
    house = House()
    with pytest.raises(Forbidden, match=r'asana takes no secret from a handshake: give it secrets: \["handshake:"\]'):
        await registering(house, secrets=secrets)("asana", ADA)
    assert not (await house.registrations.look("asana")).pending


@pytest.mark.parametrize(("keys", "why"), [((), "is not set"), (("env:ABSENT",), "env:ABSENT is not set")])
async def test_a_missing_seal_key_is_told_and_stands_in_nobody_s_way(keys: tuple[str, ...], why: str) -> None:
    """The command may run elsewhere than webhooks are served."""
    opened = await registering(House(keys=keys))("asana", ADA)
    assert opened is not None
    assert opened.missing is not None
    assert why in opened.missing


async def test_a_source_with_all_the_secrets_it_may_have_is_told_how_to_make_room() -> None:
    house = House()
    register = await filled(house, MOST_SECRETS)
    with pytest.raises(Forbidden, match=r"asana has 16 secrets.*'opsconnect sources forget asana ID'"):
        await register("asana", ADA)
    assert len(await house.kept()) == MOST_SECRETS


async def test_the_newest_secret_is_revealed_or_the_one_that_was_asked_for() -> None:
    house = House()
    register = await filled(house, 3)
    newest, middle, _ = (await house.registrations.look("asana")).secrets
    assert await register.reveal("asana", ADA) == SECRETS[2]
    assert await register.reveal("asana", ADA, newest.id) == SECRETS[2]
    assert await register.reveal("asana", ADA, middle.id) == SECRETS[1]


async def test_what_is_not_there_is_not_revealed() -> None:
    house = House()
    register = await filled(house, 1)
    assert await register.reveal("asana", ADA, 99) is None
    assert await register.reveal("notion", ADA) is None


async def test_what_cannot_be_opened_is_not_revealed() -> None:
    house = House()
    await filled(house, 1)
    house.keys = ("env:NEW",)
    with pytest.raises(NotOpened):
        await registering(house).reveal("asana", ADA)


async def test_a_forgotten_secret_proves_nothing_any_more() -> None:
    house = House()
    register = await filled(house, 2)
    newest, _ = (await house.registrations.look("asana")).secrets
    assert await register.forget("asana", newest.id, ADA)
    assert not await register.forget("asana", newest.id, ADA)
    assert await house.kept() == (SECRETS[0],)
