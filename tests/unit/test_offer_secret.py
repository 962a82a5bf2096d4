"""Secrets that providers bring: taken when somebody expects one, the first one, and each time that it comes."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from app.adapters.memory.registrations import MemoryRegistrations
from app.core.domain.errors import Forbidden, NoSealKey, NotPending, Unavailable
from app.core.domain.registration import LONGEST_SECRET_BYTES, PENDING, Registration
from app.core.domain.sealed import Sealed
from app.core.use_cases.offer_secret import MOST_AT_ONCE, OfferSecret
from tests.registering import ASANA, House

FIRST, SECOND = b"canary-first-0123456789", b"canary-second-0123456789"


async def test_a_secret_that_is_expected_is_kept_and_resolved() -> None:
    house = House()
    await house.registrations.open("asana")
    await house.offer(ASANA, FIRST)
    assert await house.kept() == (FIRST,)


async def test_it_is_kept_sealed() -> None:
    house = House()
    await house.registrations.open("asana")
    await house.offer(ASANA, FIRST)
    (kept,) = (await house.registrations.look("asana")).secrets
    assert FIRST not in kept.sealed.content


async def test_unless_a_registration_is_pending_it_is_refused_and_the_text_says_how_to_open_one() -> None:
    house = House()
    with pytest.raises(NotPending, match=r"asana expects no secret: no registration is open; run .*register asana'"):
        await house.offer(ASANA, FIRST)
    await house.registrations.open("asana")
    house.now += PENDING
    with pytest.raises(
        NotPending, match=r"ended at 2026-11-02 11:00:00 UTC, and no secret came; run .*register asana'"
    ):
        await house.offer(ASANA, FIRST)
    assert not (await house.registrations.look("asana")).secrets


async def test_the_first_secret_ends_the_registration_and_another_one_is_refused() -> None:
    house = House()
    await house.registrations.open("asana")
    await house.offer(ASANA, FIRST)
    with pytest.raises(NotPending, match="ended with the secret that came at 2026-11-02 10:00:00 UTC; run"):
        await house.offer(ASANA, SECOND)
    assert await house.kept() == (FIRST,)


async def test_the_same_secret_is_as_good_however_often_and_late_it_comes_and_is_kept_once() -> None:
    house = House()
    await house.registrations.open("asana")
    for _ in range(3):
        await house.offer(ASANA, FIRST)
        house.now += timedelta(days=30)
    assert await house.kept() == (FIRST,)


async def test_a_repeated_secret_does_not_use_up_the_registration_of_the_next_one() -> None:
    """Two webhooks of one source: the first one's handshake comes again while the second one is being made."""
    house = House()
    await house.registrations.open("asana")
    await house.offer(ASANA, FIRST)
    await house.registrations.open("asana")
    await house.offer(ASANA, FIRST)
    await house.offer(ASANA, SECOND)
    assert await house.kept() == (SECOND, FIRST)


async def test_a_forgotten_secret_is_refused_like_any_other() -> None:
    house = House()
    await house.registrations.open("asana")
    await house.offer(ASANA, FIRST)
    (kept,) = (await house.registrations.look("asana")).secrets
    await house.registrations.forget("asana", kept.id)
    with pytest.raises(NotPending):
        await house.offer(ASANA, FIRST)


async def test_without_a_seal_key_it_is_refused_and_the_registration_stays_pending() -> None:
    house = House(keys=())
    await house.registrations.open("asana")
    with pytest.raises(NoSealKey, match="OPSCONNECT_SEAL_KEY is not set"):
        await house.offer(ASANA, FIRST)
    house.keys = ("env:OLD",)
    await house.offer(ASANA, FIRST)
    assert await house.kept() == (FIRST,)


async def test_while_no_registration_is_pending_a_missing_seal_key_is_nobody_s_business() -> None:
    with pytest.raises(NotPending):
        await House(keys=()).offer(ASANA, FIRST)


async def test_kept_secrets_that_cannot_be_opened_do_not_keep_a_new_one_out() -> None:
    """With a lost key: a new registration brings a new secret, and the old ones are there to be forgotten."""
    house = House()
    await house.registrations.open("asana")
    await house.offer(ASANA, FIRST)
    house.keys = ("env:NEW",)
    await house.registrations.open("asana")
    await house.offer(ASANA, SECOND)
    assert len((await house.registrations.look("asana")).secrets) == 2


async def test_a_source_that_takes_no_secret_from_a_handshake_is_offered_none() -> None:
    house = House()
    await house.registrations.open("asana")
    for secrets in ((), ("env:ASANA",), ("handshake:notion",)):
        with pytest.raises(NotPending, match=r'asana takes no secret from a handshake; .* secrets: \["handshake:"\]'):
            await house.offer(replace(ASANA, secrets=secrets), FIRST)
    assert (await house.registrations.look("asana")).pending


@pytest.mark.parametrize("secret", [b"", b" \t", b"x" * (LONGEST_SECRET_BYTES + 1)])
async def test_what_is_no_secret_is_refused(secret: bytes) -> None:
    house = House()
    await house.registrations.open("asana")
    with pytest.raises(Forbidden):
        await house.offer(ASANA, secret)
    assert (await house.registrations.look("asana")).pending


async def test_the_longest_secret_is_taken() -> None:
    house = House()
    await house.registrations.open("asana")
    await house.offer(ASANA, b"x" * LONGEST_SECRET_BYTES)
    assert await house.kept() == (b"x" * LONGEST_SECRET_BYTES,)


async def test_no_refusal_quotes_what_was_offered() -> None:
    house = House(keys=())
    for _ in range(2):
        with pytest.raises(Forbidden) as refused:
            await house.offer(ASANA, FIRST)
        assert "canary" not in str(refused.value)
        await house.registrations.open("asana")


class Contested(MemoryRegistrations):
    """Somebody else's secret always comes a moment sooner."""

    sooner: Sealed

    async def keep(self, source: str, sealed: Sealed) -> bool:
        await super().keep(source, self.sooner)
        return await super().keep(source, sealed)


@pytest.mark.parametrize(("sooner", "refused"), [(FIRST, False), (SECOND, True)])
async def test_who_comes_a_moment_too_late_is_refused_unless_it_was_the_same_secret(
    sooner: bytes, refused: bool
) -> None:
    house = House()
    registrations = Contested(clock=lambda: house.now)
    registrations.sooner = await house.sealing.seal(sooner, purpose="handshake", owner="asana")
    await registrations.open("asana")
    offering = OfferSecret(registrations, house.sealing)(ASANA, FIRST)
    if refused:
        with pytest.raises(NotPending):
            await offering
    else:
        await offering
    assert len((await registrations.look("asana")).secrets) == 1


class Slow(MemoryRegistrations):
    """Looks only when a test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Semaphore(0)
        self.answering = asyncio.Event()

    async def look(self, source: str) -> Registration:
        self.asked.release()
        await self.answering.wait()
        return await super().look(source)


async def test_a_flood_of_offers_takes_no_more_than_its_share_of_the_database() -> None:
    registrations = Slow()
    offer = OfferSecret(registrations, House().sealing)
    first = [asyncio.create_task(offer(ASANA, FIRST)) for _ in range(MOST_AT_ONCE)]
    for _ in first:
        await registrations.asked.acquire()
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable, match="at once"):
            await offer(ASANA, FIRST)
    registrations.answering.set()
    refused = await asyncio.gather(*first, return_exceptions=True)
    assert {type(error) for error in refused} == {NotPending}
    with pytest.raises(NotPending):
        await offer(ASANA, FIRST)
