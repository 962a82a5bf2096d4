"""What a flood is judged by: the probe's book, and the comparison with Postgres."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.bench.flooding import Outcome, Plan, broken_promises
from tests.bench.load import BODY, Flood
from tests.bench.probe import Answered, Probe

FLOOD = Flood(seconds=10.0, statuses={202: 900, 503: 3000}, without_retry_after=0, unsent=0, broken=0, late=0)
PROBED = [
    Answered("p-0", 202, "e-0", False, 20.0, fresh=False),
    Answered("p-1", 503, "", True, 1.0, fresh=True),
    Answered("p-2", 0, "", False, 9.0, fresh=True),
]
KEPT = {"p-0": "e-0", "p-2": "e-2"}
"""The one whose answer never came may have been kept: nothing was promised."""


def test_a_kept_promise_is_no_fault() -> None:
    assert broken_promises(FLOOD, PROBED, (905, 905, 905), KEPT) == []


@pytest.mark.parametrize(
    ("flood", "rows", "kept", "says"),
    [
        (FLOOD, (900, 900, 900), KEPT, "1 of 901 accepted webhooks are missing"),
        (FLOOD, (905, 905, 904), KEPT, "tables do not agree"),
        (FLOOD, (905, 905, 905), {}, "not what Postgres has"),
        (FLOOD, (905, 905, 905), {"p-0": "e-7"}, "not what Postgres has"),
        (replace(FLOOD, statuses={202: 900, 500: 1}), (905, 905, 905), KEPT, "outside 200, 202, 429 and 503"),
    ],
)
def test_every_broken_promise_is_told(flood: Flood, rows: tuple[int, ...], kept: dict[str, str], says: str) -> None:
    (fault,) = broken_promises(flood, PROBED, rows, kept)
    assert says in fault


def test_the_figures_of_a_flood_count_the_probe_too() -> None:
    megabytes = (100.0, 100.0, 120.0, 120.0, 126.0, 126.0)
    outcome = Outcome(Plan(), 100.0, FLOOD, tuple(PROBED), 905, megabytes, (1.0, 1.0), ())
    assert outcome.goodput == pytest.approx(901 / 10 / 100)
    assert outcome.refusals == {503: 3001}
    assert outcome.without_retry_after == 0
    assert outcome.growth == pytest.approx(0.05)
    assert outcome.unanswered == 1
    assert outcome.milliseconds(0.99, {202}, fresh=False) == 20.0
    assert outcome.milliseconds(0.99, {202}, fresh=True) is None


async def test_the_probe_tells_refusals_broken_connections_and_the_wait_apart() -> None:
    """A server that accepts, refuses with and without Retry-After, and hangs up, in turns."""
    answers = [
        b"HTTP/1.1 202 Accepted\r\nX-Event-Id: e-1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 503 No\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n",
        b"",
    ]
    left = iter(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(BODY):
                said = next(left)
                writer.write(said)
                if not said or b"close" in said:
                    break
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        seen = await Probe(port, per_second=100, connections=1, fresh=False).run(0.04)
    assert [(one.status, one.retry_after, one.event_id) for one in seen] == [
        (202, False, "e-1"), (503, True, ""), (429, False, ""), (0, False, ""),
    ]  # fmt: skip
    assert len({one.delivery_id for one in seen}) == 4
