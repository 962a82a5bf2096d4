"""What everything that gives providers' keys keeps to: the twin, the fetcher, and the cache in front of each."""

import asyncio
from collections.abc import Callable

import pytest

from app.adapters.memory.outgoing import MemoryOutgoing
from app.adapters.memory.provider_keys import MemoryProviderKeys
from app.adapters.outgoing.provider_keys import FetchedProviderKeys
from app.core.domain.errors import KeyMissing, Unavailable
from app.core.domain.outgoing import OutgoingAnswer, OutgoingRequest
from app.core.policies.cached_keys import CachedKeys
from app.core.ports.provider_keys import ProviderKeys

KEYS = {f"https://keys.provider.test/{number}": bytes([number]) * 100 for number in range(20)}
THERE = "https://keys.provider.test/7"
ABSENT = "https://keys.provider.test/absent"


def fetched() -> ProviderKeys:
    async def answering(request: OutgoingRequest) -> OutgoingAnswer:
        key = KEYS.get(request.url)
        return OutgoingAnswer(200, (), key, False) if key else OutgoingAnswer(404, (), b"<h1>Not Found</h1>", False)

    return FetchedProviderKeys(MemoryOutgoing(answering, {"keys.provider.test": "1.1.1.1"}))


def in_memory() -> ProviderKeys:
    return MemoryProviderKeys(KEYS)


@pytest.fixture(
    params=[in_memory, fetched, lambda: CachedKeys(in_memory()), lambda: CachedKeys(fetched())],
    ids=["in memory", "fetched", "cached in memory", "cached fetched"],
)
def keys(request: pytest.FixtureRequest) -> ProviderKeys:
    make: Callable[[], ProviderKeys] = request.param
    return make()


async def test_a_key_is_given_byte_by_byte_each_time(keys: ProviderKeys) -> None:
    for age in (None, 60.0, 0.0):
        assert await keys.get(THERE, max_age_seconds=age) == KEYS[THERE]


async def test_a_key_that_the_provider_does_not_have_is_missing(keys: ProviderKeys) -> None:
    for _ in range(2):
        with pytest.raises(KeyMissing):
            await keys.get(ABSENT)


@pytest.mark.parametrize("url", ["", "keys.provider.test", "https://", "https://[::1", "\0", "https://\ud800/"])
async def test_what_is_no_address_has_no_key(keys: ProviderKeys, url: str) -> None:
    with pytest.raises(Unavailable):
        await keys.get(url)


async def test_many_who_ask_at_once_get_what_they_asked_for(keys: ProviderKeys) -> None:
    wanted = [url for url in list(KEYS)[:2] for _ in range(20)]
    assert await asyncio.gather(*map(keys.get, wanted)) == [KEYS[url] for url in wanted]


async def test_who_goes_away_leaves_the_others_their_answer(keys: ProviderKeys) -> None:
    first, second = (asyncio.ensure_future(keys.get(THERE)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == KEYS[THERE]
