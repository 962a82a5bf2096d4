"""Applying opens a registration, once: a file that is applied every minute does not hold the door open."""

from dataclasses import replace
from datetime import datetime

import pytest

from app.adapters.memory.audit_log import MemoryAuditLog
from app.adapters.memory.configuration import MemoryConfiguration
from app.adapters.memory.registrations import MemoryRegistrations
from app.adapters.memory.source_registry import MemorySourceRegistry
from app.adapters.schemas.json_schema import JsonSchemas
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.core.domain.document import Document
from app.core.domain.errors import Unavailable
from app.core.domain.registration import PENDING
from app.core.domain.source import Source
from app.core.policies.registering_sources import RegisteringSources
from app.core.use_cases.apply_configuration import ApplyConfiguration, Plan
from tests.operators import ADA
from tests.registering import ASANA, House

BY_REFERENCE = replace(ASANA, secrets=("env:ASANA",))
WRITTEN = {"name": "asana", "provider": "asana", "secrets": ["handshake:asana"]}


def registering(house: House, *sources: Source) -> RegisteringSources:
    registry = MemorySourceRegistry(sources)
    return RegisteringSources(MemoryConfiguration(registry), registry, house.registrations)


async def is_pending(house: House) -> bool:
    return (await house.registrations.look("asana")).pending


async def test_a_new_source_that_takes_its_secret_from_a_handshake_is_registered() -> None:
    house = House()
    assert await registering(house).apply([BY_REFERENCE, replace(ASANA, name="other")]) == (["created", "created"], [])
    assert not await is_pending(house)
    assert await registering(house).apply([ASANA]) == (["created"], [])
    assert await is_pending(house)


async def test_so_is_one_that_did_not_before() -> None:
    house = House()
    assert await registering(house, BY_REFERENCE).apply([ASANA]) == (["changed"], [])
    assert await is_pending(house)


@pytest.mark.parametrize("again", [ASANA, replace(ASANA, body_limit_bytes=5)])
async def test_one_that_did_so_already_is_not_registered_again(again: Source) -> None:
    house = House()
    sources = registering(house)
    await sources.apply([ASANA])
    house.now += PENDING
    await sources.apply([again])
    assert not await is_pending(house)


async def test_a_dry_run_registers_nothing() -> None:
    house = House()
    assert await registering(house).apply([ASANA], dry_run=True) == (["created"], [])
    assert not await is_pending(house)


class Away(MemoryRegistrations):
    async def open(self, source: str) -> datetime | None:
        raise Unavailable(f"nobody opens {source}")


async def planned(house: House, *, dry_run: bool = False) -> Plan:
    kept = MemoryConfiguration()
    secrets = ReferencedSecrets({"env": EnvironmentSecrets({}), "handshake": house.secrets})
    configuration = RegisteringSources(kept, kept.sources, house.registrations)
    apply = ApplyConfiguration(
        configuration, kept.sources, kept.connections, {}, secrets, JsonSchemas(), MemoryAuditLog()
    )
    return await apply(Document({"sources": [WRITTEN]}), ADA, dry_run=dry_run)


async def test_who_applies_is_told_until_when_the_secret_is_expected() -> None:
    (warning,) = (await planned(House())).warnings
    assert str(warning).endswith(
        "a registration is pending until 2026-11-02 11:00:00 UTC; create the webhook at the provider"
    )


async def test_a_registration_that_could_not_be_opened_leaves_the_source_applied_and_says_what_to_run() -> None:
    house = House()
    house.registrations = Away()
    plan = await planned(house)
    assert plan.sources[0].change == "created"
    (warning,) = plan.warnings
    assert "no registration is open; run 'opsconnect sources register asana'" in str(warning)


async def test_a_dry_run_does_not_ask_for_what_applying_brings() -> None:
    assert (await planned(House(), dry_run=True)).warnings == ()
