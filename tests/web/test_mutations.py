"""Thousands of broken requests: one well-formed answer each or a close, never a 500, never a hang.

`make fuzz` sends 50,000. `FUZZ_SEED` repeats a run; which seed it was is told with every failure.
"""

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.api import Api, serving
from tests.e2e.conftest import DEMO, OPEN
from tests.e2e.sender import SECRET, signed
from tests.web.wire import Answer, IllFormed, all_answers, chunked, post, take_answer

CASES = int(os.environ.get("FUZZ_CASES", "2000"))
SEED = int(os.environ.get("FUZZ_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
AT_ONCE = 160
CLIENT_SECONDS = 15.0
EXPECTED = frozenset({100, 200, 202, 400, 401, 404, 405, 408, 413, 414, 422, 431, 501, 503, 505})

BODY = b'{"lead_id":"1","a":[1,2,{"b":null}]}'
WHOLE = (
    post(BODY),
    post(b"x" * 3_000, "Content-Type: text/plain"),
    post(BODY, f"X-Signature: {signed(SECRET, BODY)}", "X-Delivery-Id: 7", path="/api/v1/webhooks/demo"),
    post(b"", "Transfer-Encoding: chunked", length=False) + chunked(BODY, b"more", b"z" * 500),
    post(BODY, "Expect: 100-continue"),
    post(BODY, "Connection: Upgrade", "Upgrade: h2c"),
    post(BODY, path="/api/v1/webhook"),
    b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
    b"GET /api/v1/events?limit=1 HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\n",
)
PIECES = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b"\r\n\r\n", b"\n\n", b"\x7f", b"\xff", b"%00",
    b"0\r\n\r\n", b"//", b"http://",
    b"Host: y\r\n", b"Content-Length: 1\r\n", b"Content-Length: 99999999999999999999\r\n", b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: x\r\n", b"Connection: close\r\n", b"Upgrade: websocket\r\n",
    b"Expect: 100-continue\r\n", b" folded\r\n", b"X: " + b"y" * 40_000 + b"\r\n", b"a: b\r\n" * 120,
    b"ffffffffffffffff\r\n", b"7fffffff\r\n", b"1" * 30, b"GET / HTTP/1.1\r\n", b"HTTP/1.1", b"HTTP/2.0",
    b"traceparent: 00-x\r\n",
)  # fmt: skip


def mutated(rng: random.Random) -> bytes:
    """A request with one to four things wrong with it, or perhaps none."""
    data = bytearray(rng.choice(WHOLE))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1) if rng.random() < 0.5 else rng.randrange(min(len(data), 120) + 1)
        kind = rng.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 2:
            data[at:at] = rng.choice(PIECES)
        elif kind == 3:
            del data[at : at + rng.choice((1, 2, 4, 20))]
        elif kind == 4:
            other = rng.choice(WHOLE)
            start = rng.randrange(len(other))
            data[at:at] = other[start : start + rng.randrange(1, 200)]
        elif kind == 5:
            lines = bytes(data).split(b"\r\n")
            number = rng.randrange(len(lines))
            lines[number : number + 1] = [lines[number]] * rng.choice((0, 2))
            data = bytearray(b"\r\n".join(lines))
        elif kind == 6 and rng.random() < 0.3:
            del data[at:]
    return bytes(data)


@pytest.fixture
def impatient(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Api]:
    """A process that does not wait for the rest of a broken request."""
    names = ("SILENT_SOCKET", "HEADER_RECEIVE", "BODY_RECEIVE", "KEEP_ALIVE")
    short = {f"OPSCONNECT_{name}_SECONDS": "0.3" for name in names}
    with serving(database_url, redis_url, tmp_path, DEMO_SECRET=SECRET, **short) as running:
        running.apply(DEMO, OPEN, {"name": "salesforce", "provider": "salesforce", "verify": "none"})
        yield running


async def sent(port: int, data: bytes, *, kept_alive: bool, cut: int) -> list[Answer]:
    """Send it, on a new connection or behind a good request, in one or two pieces; read until the end."""
    async with asyncio.timeout(CLIENT_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            if kept_alive:
                writer.write(WHOLE[0])
                got = b""
                while take_answer(got) is None:
                    if not (more := await reader.read(65_536)):
                        return all_answers(got)  # this machine was so busy that the connection was silent for too long
                    got += more
            content = b""
            try:
                writer.write(data[:cut])
                await writer.drain()
                writer.write(data[cut:])
                while more := await reader.read(65_536):
                    content += more
            except ConnectionError:
                pass  # closed while we still sent
            return all_answers(content)
        finally:
            writer.close()


def wrong_with(data: bytes, answers: list[Answer]) -> str | None:
    """Say what must not be."""
    if unexpected := [answer.status for answer in answers if answer.status not in EXPECTED]:
        return f"status {unexpected}"
    final = [answer for answer in answers if answer.status != 100]
    if any(answer.closes for answer in final[:-1]):
        return "an answer after the last one"
    if any(answer.status in {400, 408, 414, 431, 501, 505} and not answer.closes for answer in final):
        return "a refusal that does not close"
    if len(final) > data.count(b"\r\n\r\n") + 1:
        return "more answers than requests"
    return None


async def test_broken_requests_are_answered_once_or_closed(impatient: Api) -> None:
    """And the process is as it was."""
    numbers = iter(range(CASES))
    failures: list[str] = []
    statuses: dict[int, int] = {}

    async def one() -> None:
        for number in numbers:
            rng = random.Random(SEED * 1_000_003 + number)
            data = mutated(rng)
            kept_alive, cut = rng.random() < 0.5, rng.choice((0, rng.randrange(len(data) + 1)))
            try:
                answers = await sent(impatient.port, data, kept_alive=kept_alive, cut=cut)
                wrong = wrong_with(data, answers)
                for answer in answers:
                    statuses[answer.status] = statuses.get(answer.status, 0) + 1
            except (TimeoutError, IllFormed) as error:
                wrong = repr(error)
            if wrong:
                failures.append(f"case {number}: {wrong} to {data[:400]!r}")

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    print(f"FUZZ_SEED={SEED} FUZZ_CASES={CASES}: {dict(sorted(statuses.items()))}")
    assert not failures, f"FUZZ_SEED={SEED}, {len(failures)} failures, as {failures[:3]}"
    assert {202, 400} <= set(statuses)
    assert impatient.post("/api/v1/webhooks/open", b"alive").status_code == 202
    log = impatient.log.read_text()
    assert "Traceback" not in log, log[log.index("Traceback") :][:2_000]
    assert not impatient.lines("a webhook met a defect")
