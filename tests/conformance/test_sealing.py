"""What every sealing keeps to: only the right key opens, and only what was sealed, for what it was sealed."""

import base64
import os
from collections.abc import Callable

import pytest

from app.adapters.sealing.aes_gcm import AesGcmSealing
from app.adapters.secrets.environment import EnvironmentSecrets
from app.core.domain.errors import NoSealKey, NotOpened
from app.core.domain.sealed import Sealed
from app.core.ports.sealing import Sealing

SECRET = b"\x00 canary \xff"
KEYS = {"OLD": os.urandom(32).hex(), "NEW": base64.b64encode(os.urandom(32)).decode(), "BAD": "canary"}

Make = Callable[..., Sealing]
"""Makes a sealing with the keys of these names; nobody has one called ABSENT."""


def aes_gcm(*names: str) -> Sealing:
    return AesGcmSealing([f"env:{name}" for name in names], EnvironmentSecrets(KEYS))


@pytest.fixture(params=[aes_gcm])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


async def seal(sealing: Sealing, secret: bytes = SECRET) -> Sealed:
    return await sealing.seal(secret, purpose="handshake", owner="asana")


async def opened(sealing: Sealing, sealed: Sealed, purpose: str = "handshake", owner: str = "asana") -> bytes:
    return await sealing.open(sealed, purpose=purpose, owner=owner)


@pytest.mark.parametrize("secret", [b"", b"s", SECRET, bytes(range(256)) * 4])
async def test_what_was_sealed_is_opened_byte_by_byte(make: Make, secret: bytes) -> None:
    sealed = await seal(make("OLD"), secret)
    assert await opened(make("OLD"), sealed) == secret


async def test_what_is_sealed_does_not_show_and_never_looks_alike(make: Make) -> None:
    first, second = await seal(make("OLD")), await seal(make("OLD"))
    assert first.content != second.content
    assert b"canary" not in first.content + first.key_id.encode()


async def test_the_first_key_seals_and_every_key_opens(make: Make) -> None:
    """So a key is rotated: the new one first, the old one behind it until nothing needs it any more."""
    before = await seal(make("OLD"))
    both = make("NEW", "OLD")
    assert await opened(both, before) == SECRET
    after = await seal(both)
    assert after.key_id != before.key_id
    assert await opened(make("NEW"), after) == SECRET


async def test_another_key_does_not_open(make: Make) -> None:
    sealed = await seal(make("OLD"))
    with pytest.raises(NotOpened, match=f"asana was sealed with key {sealed.key_id}"):
        await opened(make("NEW"), sealed)


async def test_a_key_that_only_claims_to_be_the_one_does_not_open(make: Make) -> None:
    old, new = await seal(make("OLD")), await seal(make("NEW"))
    with pytest.raises(NotOpened):
        await opened(make("NEW"), Sealed(new.key_id, old.content))


@pytest.mark.parametrize(
    "elsewhere", [{"owner": "notion"}, {"purpose": "body"}, {"purpose": "handshakea", "owner": "sana"}]
)
async def test_what_is_put_in_another_one_s_place_does_not_open(make: Make, elsewhere: dict[str, str]) -> None:
    sealed = await seal(make("OLD"))
    with pytest.raises(NotOpened, match="belongs elsewhere"):
        await opened(make("OLD"), sealed, **elsewhere)


@pytest.mark.parametrize("content", [b"", b"short", bytes(27), bytes(28), bytes(1000)])
async def test_what_was_never_sealed_does_not_open(make: Make, content: bytes) -> None:
    sealed = await seal(make("OLD"))
    with pytest.raises(NotOpened):
        await opened(make("OLD"), Sealed(sealed.key_id, content))


async def test_without_a_key_nothing_is_sealed_or_opened_and_the_text_says_how_to_give_one(make: Make) -> None:
    sealed = await seal(make("OLD"))
    for asked in (seal(make()), opened(make(), sealed)):
        with pytest.raises(NoSealKey, match=r"OPSCONNECT_SEAL_KEY is not set.*'openssl rand -hex 32'"):
            await asked


@pytest.mark.parametrize(
    ("name", "why"), [("ABSENT", "env:ABSENT is not set"), ("BAD", "env:BAD holds is no key.*openssl")]
)
async def test_a_key_that_is_missing_or_none_is_named_and_never_quoted(make: Make, name: str, why: str) -> None:
    with pytest.raises(NoSealKey, match=f"OPSCONNECT_SEAL_KEY: .*{why}") as refused:
        await seal(make(name, "OLD"))
    assert "canary" not in str(refused.value)


async def test_a_second_key_that_is_missing_is_in_nobody_s_way_until_it_is_needed(make: Make) -> None:
    old = await seal(make("OLD"))
    sealing = make("NEW", "ABSENT")
    assert await opened(sealing, await seal(sealing)) == SECRET
    with pytest.raises(NotOpened, match="env:ABSENT is not set"):
        await opened(sealing, old)
