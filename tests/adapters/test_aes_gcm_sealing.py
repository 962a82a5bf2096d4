"""What only AES-256-GCM can say: how keys are written, and that not one bit may be another."""

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.sealing.aes_gcm import AesGcmSealing
from app.adapters.secrets.environment import EnvironmentSecrets
from app.core.domain.errors import NoSealKey, NotOpened
from app.core.domain.sealed import Sealed

KEY = bytes(range(200, 232))


def with_key(text: str) -> AesGcmSealing:
    return AesGcmSealing(["env:KEY"], EnvironmentSecrets({"KEY": text}))


async def seal(sealing: AesGcmSealing, secret: bytes = b"canary") -> Sealed:
    return await sealing.seal(secret, purpose="handshake", owner="asana")


@pytest.mark.parametrize(
    "text",
    [
        KEY.hex(),
        KEY.hex().upper(),
        f" {KEY.hex()}\n",
        base64.b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode(),
    ],
)
async def test_a_key_is_the_same_however_it_is_written(text: str) -> None:
    sealed = await seal(with_key(KEY.hex()))
    assert await with_key(text).open(sealed, purpose="handshake", owner="asana") == b"canary"
    assert (await seal(with_key(text))).key_id == sealed.key_id


@pytest.mark.parametrize(
    "text",
    [
        KEY.hex()[:-2],
        KEY.hex() + "00",
        KEY[:16].hex(),
        base64.b64encode(KEY[:31]).decode(),
        base64.b64encode(KEY + b"1").decode(),
        base64.b64encode(KEY).decode().rstrip("="),
        "g" * 64,
        "canary",
        "é" * 22,
        KEY.decode("latin-1"),
    ],
)
async def test_what_is_no_key_of_32_bytes_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(NoSealKey, match="what env:KEY holds is no key: 32 random bytes") as refused:
        await seal(with_key(text))
    assert text not in str(refused.value)


async def test_the_id_of_a_key_is_no_part_of_it() -> None:
    key = os.urandom(32)
    sealed = await seal(with_key(key.hex()))
    assert len(sealed.key_id) == 16
    assert sealed.key_id not in key.hex()


@given(st.binary(max_size=1024), st.text(max_size=20), st.text(max_size=20))
async def test_whatever_is_sealed_for_whomever_is_opened_for_them(secret: bytes, purpose: str, owner: str) -> None:
    sealing = with_key(KEY.hex())
    sealed = await sealing.seal(secret, purpose=purpose, owner=owner)
    assert await sealing.open(sealed, purpose=purpose, owner=owner) == secret


@given(st.binary(min_size=1, max_size=64), st.data())
async def test_one_changed_bit_anywhere_does_not_open(secret: bytes, data: st.DataObject) -> None:
    """Of the nonce, of what was encrypted, or of the tag."""
    sealing = with_key(KEY.hex())
    sealed = await seal(sealing, secret)
    bit = data.draw(st.integers(0, len(sealed.content) * 8 - 1))
    changed = bytearray(sealed.content)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NotOpened):
        await sealing.open(Sealed(sealed.key_id, bytes(changed)), purpose="handshake", owner="asana")


@given(st.data())
async def test_less_or_more_of_it_does_not_open(data: st.DataObject) -> None:
    sealing = with_key(KEY.hex())
    sealed = await seal(sealing)
    length = data.draw(st.integers(0, len(sealed.content) - 1))
    for content in (sealed.content[:length], sealed.content + b"\0"):
        with pytest.raises(NotOpened):
            await sealing.open(Sealed(sealed.key_id, content), purpose="handshake", owner="asana")
