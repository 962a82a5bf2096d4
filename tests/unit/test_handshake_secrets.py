"""What `handshake:NAME` says when a secret cannot be had: how the registration stands, and the way out."""

import pytest

from app.core.domain.errors import SecretMissing
from app.core.domain.registration import PENDING
from tests.registering import ASANA, House


async def why_missing(house: House) -> str:
    with pytest.raises(SecretMissing) as missing:
        await house.kept()
    return str(missing.value)


async def test_before_during_and_after_a_registration_the_text_says_how_it_stands_and_what_to_do() -> None:
    house = House()
    before = await why_missing(house)
    await house.registrations.open("asana")
    during = await why_missing(house)
    house.now += PENDING
    after = await why_missing(house)
    register = "'opsconnect sources register asana'"
    assert before == (
        f"handshake:asana holds no secret: no registration is open; run {register}, "
        "then create the webhook at the provider within an hour"
    )
    assert during == (
        "handshake:asana holds no secret: a registration is pending until 2026-11-02 11:00:00 UTC; "
        "create the webhook at the provider"
    )
    assert after == (
        "handshake:asana holds no secret: the registration ended at 2026-11-02 11:00:00 UTC, and no secret came; "
        f"run {register} again"
    )


@pytest.mark.parametrize(
    ("keys", "why"),
    [((), "OPSCONNECT_SEAL_KEY is not set"), (("env:NEW",), "sealed with key"), (("env:ABSENT",), "env:ABSENT is not")],
)
async def test_if_one_of_several_cannot_be_opened_none_is_given_and_the_text_names_it(
    keys: tuple[str, ...], why: str
) -> None:
    """Its webhook would be refused, and perhaps given up, for a key that we lack."""
    house = House()
    for key in ("env:OLD", "env:NEW"):
        house.keys = (key,)
        await house.registrations.open("asana")
        await house.offer(ASANA, b"canary " + key.encode())
    house.keys = keys
    with pytest.raises(
        SecretMissing, match=rf"handshake:asana cannot be opened here: .*{why}.*forget asana [12]'"
    ) as missing:
        await house.kept()
    assert "canary" not in str(missing.value)
    house.keys = ("env:NEW", "env:OLD")
    assert await house.kept() == (b"canary env:NEW", b"canary env:OLD")


async def test_a_secret_that_was_put_under_another_source_is_not_believed() -> None:
    """Whoever can write to the database cannot make one provider's secret open another's door."""
    house = House()
    await house.registrations.open("asana")
    await house.offer(ASANA, b"canary")
    (kept,) = (await house.registrations.look("asana")).secrets
    await house.registrations.open("notion")
    await house.registrations.keep("notion", kept.sealed)
    with pytest.raises(SecretMissing, match="belongs elsewhere"):
        await house.kept("notion")
