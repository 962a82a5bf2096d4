"""What every audit log keeps to: one chain, in the order of its times, whoever appends at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from app.adapters.memory.audit_log import MemoryAuditLog
from app.adapters.postgres.audit_log import PostgresAuditLog
from app.adapters.postgres.connections import Connections
from app.adapters.postgres.engine import make_engine
from app.core.domain.audit import Action, Actor, Head
from app.core.ports.audit_log import AuditLog, AuditQuery
from app.core.use_cases.browse_audit import BrowseAudit, Verified
from tests.conftest import PATIENT

ADA = Actor("key:ada", "0af7651916cd43dd8448eb211c80319c")
BOB = Actor("cli:bob")


@pytest.fixture(params=["memory", "postgres"])
async def log(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[AuditLog]:
    """Each log, empty."""
    if request.param == "memory":
        yield MemoryAuditLog()
        return
    async with AsyncExitStack() as stack:
        connections = Connections(database_url, budget=PATIENT, largest=4)
        stack.push_async_callback(connections.close)
        engine = make_engine(database_url, budget=PATIENT, largest=2)
        stack.push_async_callback(engine.dispose)
        yield PostgresAuditLog(connections, engine)


async def test_an_entry_comes_back_as_it_was_and_hashes_to_the_same(log: AuditLog) -> None:
    """Whatever an operator's names have in them."""
    details = {"n": -(2**40), "yes": True, "none": None, "list": ["é", "\x00", '"'], "text": "\ud800 <b>"}
    new = Actor("cli:\x00é\ud800", ADA.trace_id).does(Action.APPLY, "a\nb", **details)
    appended = await log.append(new)
    assert (appended.seq, appended.actor, appended.target) == (1, "cli:\\x00é\\xed\\xa0\\x80", "a\\nb")
    assert (appended.action, appended.trace_id, appended.details) == ("apply", ADA.trace_id, details)
    assert abs(datetime.now(UTC) - appended.at) < timedelta(seconds=30)
    assert await log.walk(after=0, at_most=10) == [appended]
    assert await log.find(AuditQuery()) == [appended]
    assert (await BrowseAudit(log).verify()).fault is None


async def test_many_at_once_make_one_chain_in_the_order_of_their_times(log: AuditLog) -> None:
    await asyncio.gather(*(log.append(ADA.does(Action.REFUSAL_RELEASE, str(number))) for number in range(30)))
    entries = await log.walk(after=0, at_most=100)
    assert [entry.seq for entry in entries] == list(range(1, 31))
    assert sorted(entry.at for entry in entries) == [entry.at for entry in entries]
    assert {entry.target for entry in entries} == {str(number) for number in range(30)}
    assert await BrowseAudit(log).verify() == Verified(Head(30, entries[-1].hash), None)


async def test_it_is_walked_piece_by_piece(log: AuditLog) -> None:
    for number in range(5):
        await log.append(BOB.does(Action.APPLY, str(number)))
    pieces = [[entry.seq for entry in await log.walk(after=after, at_most=2)] for after in (0, 2, 4, 5)]
    assert pieces == [[1, 2], [3, 4], [5], []]


async def test_entries_are_found_newest_first_by_every_filter(log: AuditLog) -> None:
    await log.append(ADA.does(Action.KEY_CREATE, "deploy"))
    await log.append(BOB.does(Action.KEY_REVOKE, "deploy"))
    await log.append(BOB.does(Action.KEY_CREATE, "other"))

    async def found(**query: object) -> list[int]:
        return [entry.seq for entry in await log.find(AuditQuery(**query))]  # type: ignore[arg-type]

    assert await found() == [3, 2, 1]
    assert await found(limit=2) == [3, 2]
    assert await found(before=3) == [2, 1]
    assert await found(actor="cli:bob") == [3, 2]
    assert await found(action="key.create") == [3, 1]
    assert await found(target="deploy", actor="key:ada") == [1]
    assert await found(target="nobody") == []
