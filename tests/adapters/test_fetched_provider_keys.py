"""What a provider may answer where its key should be."""

import asyncio

import pytest

from app.adapters.memory.outgoing import MemoryOutgoing
from app.adapters.outgoing.provider_keys import FetchedProviderKeys
from app.core.domain.address import NOTHING_PRIVATE
from app.core.domain.errors import KeyMissing, Unavailable
from app.core.domain.outgoing import OutgoingAnswer, OutgoingRequest

URL = "https://keys.provider.test/key?token=canary"
ADDRESSES = {"keys.provider.test": "1.1.1.1", "inside.test": "10.0.0.1"}


def answering(answer: OutgoingAnswer) -> MemoryOutgoing:
    async def always(_: OutgoingRequest) -> OutgoingAnswer:
        return answer

    return MemoryOutgoing(always, ADDRESSES)


async def test_one_plain_request_is_sent() -> None:
    outgoing = answering(OutgoingAnswer(200, (), b"key", False))
    assert await FetchedProviderKeys(outgoing).get(URL) == b"key"
    (request,) = outgoing.sent
    assert (request.url, request.method, request.headers, request.body) == (URL, "GET", (), b"")
    assert (request.allow_private, request.seconds, request.keep_bytes) == (NOTHING_PRIVATE, 5.0, 65_536)


@pytest.mark.parametrize("status", [404, 410])
async def test_a_provider_that_has_no_key_there_says_so(status: int) -> None:
    with pytest.raises(KeyMissing, match=rf"https://keys\.provider\.test:443 has no such key: it answered {status}"):
        await FetchedProviderKeys(answering(OutgoingAnswer(status, (), b"key", False))).get(URL)


@pytest.mark.parametrize("status", [201, 204, 206, 301, 302, 304, 307, 400, 401, 403, 429, 500, 503])
async def test_any_other_answer_is_no_key(status: int) -> None:
    """A redirect least of all: nobody has checked where it leads."""
    with pytest.raises(Unavailable, match=rf"gave no key: it answered {status}") as unavailable:
        await FetchedProviderKeys(answering(OutgoingAnswer(status, (), b"key", False))).get(URL)
    assert not isinstance(unavailable.value, KeyMissing)


async def test_a_key_has_a_size() -> None:
    for body, complaint in ((b"", "gave nothing"), (bytes(101), "more than 100 bytes")):
        keys = FetchedProviderKeys(answering(OutgoingAnswer(200, (), body, False)), largest_bytes=100)
        with pytest.raises(Unavailable, match=complaint):
            await keys.get(URL)
    whole = FetchedProviderKeys(answering(OutgoingAnswer(200, (), bytes(100), False)), largest_bytes=100)
    assert await whole.get(URL) == bytes(100)


async def test_a_key_that_does_not_come_in_time_is_unavailable() -> None:
    async def never(_: OutgoingRequest) -> OutgoingAnswer:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(Unavailable, match=r"within 0\.05 s"):
        await FetchedProviderKeys(MemoryOutgoing(never, ADDRESSES), fetch_seconds=0.05).get(URL)


@pytest.mark.parametrize(
    "url",
    ["http://keys.provider.test/key", "https://inside.test/", "https://10.0.0.1/", "https://canary@keys.provider.test/",
     "https://nowhere.test/", "file:///etc/passwd"],
)  # fmt: skip
async def test_a_key_is_asked_for_by_tls_of_a_public_address_only(url: str) -> None:
    outgoing = answering(OutgoingAnswer(200, (), b"key", False))
    with pytest.raises(Unavailable) as unavailable:
        await FetchedProviderKeys(outgoing).get(url)
    assert outgoing.sent == []
    assert "canary" not in str(unavailable.value)
