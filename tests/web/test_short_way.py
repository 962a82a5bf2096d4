"""Webhooks as many clients send them, head and body apart or on a connection each: all go the short way."""

import asyncio
from collections.abc import Sequence

import pytest

from app.core.domain.source import Source
from tests.web.test_vectors import SOME_TIME, Door, door
from tests.web.wire import Answer, all_answers, post, take_answer

OPEN = Source(name="open", provider="test", verify=None)
BODY = b'{"in": "pieces"}'


async def answers(open_door: Door, conversation: Sequence[bytes], expected: int) -> list[Answer]:
    """Send pieces so that each is read by itself; give the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", open_door.port)
    found: list[Answer] = []
    read = b""
    try:
        for piece in conversation:
            writer.write(piece)
            # The door is in this very loop: some turns later it has read what there was.
            for _ in range(10):
                await asyncio.sleep(0)
        async with asyncio.timeout(10):
            while len(found) < expected:
                while taken := take_answer(read):
                    answer, read = taken
                    found.append(answer)
                if len(found) < expected:
                    more = await reader.read(65_536)
                    assert more, read
                    read += more
        return found
    finally:
        writer.close()


def cut(data: bytes, *places: int) -> list[bytes]:
    ends = [*places, len(data)]
    return [data[start:end] for start, end in zip([0, *places], ends, strict=True)]


WHOLE = post(BODY)
HEAD = len(WHOLE) - len(BODY)


@pytest.mark.parametrize(
    "pieces",
    [
        cut(WHOLE, HEAD),
        cut(WHOLE, HEAD + 3),
        cut(WHOLE, HEAD, HEAD + 1, HEAD + 9),
        cut(WHOLE, 20),
        cut(WHOLE, 20, HEAD - 2),
        cut(WHOLE, HEAD - 1, HEAD + 1),
        [b"\r\n" + WHOLE[:HEAD], BODY],
    ],
    ids=["head, body", "within the body", "small pieces", "within the head", "three", "around the end", "empty line"],
)
async def test_pieces_make_the_same_event_without_the_parser(pieces: list[bytes]) -> None:
    async with door(OPEN, {}, SOME_TIME, express=True) as open_door:
        first, second = await answers(open_door, [WHOLE, *pieces], 2)
        assert (first.status, second.status) == (202, 200)
        assert first.headers["x-event-id"] == second.headers["x-event-id"]
        assert [record.size for record in open_door.told.records] == [len(BODY)] * 2
        assert not open_door.by_the_book


async def test_what_follows_the_last_piece_waits_for_its_turn() -> None:
    other = post(b'{"another": 1}')
    async with door(OPEN, {}, SOME_TIME, express=True) as open_door:
        found = await answers(open_door, [WHOLE[: HEAD + 4], WHOLE[HEAD + 4 :] + other + other[:30], other[30:]], 3)
        assert [answer.status for answer in found] == [202, 202, 200]


@pytest.mark.parametrize(
    "head",
    [
        WHOLE[:HEAD].replace(b"Host: x", b"Host: x\r\nExpect: 100-continue"),
        WHOLE[:HEAD].replace(b"Host: x", b"Host: x\r\nConnection: close, TE\r\nTE: trailers"),
        WHOLE[:HEAD].replace(b"Host: x", b"Host: x\r\nConnection: keep-alive\r\nConnection: close"),
        WHOLE[:HEAD].replace(b"Host: x", b"Host: x\r\nConnection: Upgrade\r\nUpgrade: h2c"),
        WHOLE[:HEAD].replace(b"/open", b"/unknown"),
    ],
    ids=["expect", "te", "keep-alive and close", "upgrade", "unknown"],
)
async def test_what_is_unusual_goes_by_the_book(head: bytes) -> None:
    async with door(OPEN, {}, SOME_TIME, express=True) as open_door:
        assert (await answers(open_door, [head, BODY], 1))[-1].status in {100, 202, 404}
        assert len(open_door.by_the_book) == 1


async def test_a_sender_that_leaves_before_the_end_is_told_of() -> None:
    async with door(OPEN, {}, SOME_TIME, express=True) as open_door:
        await answers(open_door, cut(WHOLE[:-1], HEAD), 0)
        async with asyncio.timeout(10):
            while not open_door.told.records:
                await asyncio.sleep(0)
        (record,) = open_door.told.records
        assert (record.outcome, record.status) == ("client_disconnected", 400)
        assert not open_door.store.inbox
        assert (open_door.admission.requests, open_door.admission.bytes) == (0, 0)


@pytest.mark.parametrize("places", [(), (HEAD,)], ids=["whole", "pieces"])
async def test_the_last_request_of_a_connection_goes_the_short_way_too(places: tuple[int, ...]) -> None:
    """Many senders make a connection for each webhook, and say so."""
    last = post(BODY, "Connection: Close")
    pieces = cut(last, *[place + len("Connection: Close\r\n") for place in places])
    async with door(OPEN, {}, SOME_TIME, express=True) as open_door:
        reader, writer = await asyncio.open_connection("127.0.0.1", open_door.port)
        try:
            for piece in (*pieces, WHOLE):  # what comes after it is never looked at
                writer.write(piece)
            async with asyncio.timeout(10):
                (answer,) = all_answers(await reader.read())
        finally:
            writer.close()
        assert (answer.status, answer.closes) == (202, True)
        assert not open_door.by_the_book
        assert len(open_door.told.records) == 1
