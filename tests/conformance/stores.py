"""Every event store there is, ready for the conformance suite."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from time import time_ns
from typing import Any

import asyncpg

from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.postgres.connections import Connections
from app.adapters.postgres.engine import make_engine
from app.adapters.postgres.event_reader import PostgresEventReader
from app.adapters.postgres.event_store import PostgresEventStore
from app.core.domain.delivery_key import delivery_key
from app.core.domain.event import NewEvent
from app.core.domain.ids import EventId, event_id
from app.core.policies.breaker import BreakingStore
from app.core.policies.group_commit import GroupCommit
from app.core.policies.hinting import Hinting
from app.core.policies.shielded import Shielded
from app.core.ports.event_reader import EventReader
from app.core.ports.event_store import EventStore, Outcome, Pending
from tests.conftest import PATIENT


@dataclass
class Kit:
    """One implementation, with what a test needs to look behind it."""

    store: EventStore
    twin: EventStore
    """Another one on the same data, as another process would have."""
    reader: EventReader
    inbox: Callable[[], Awaitable[list[str]]]
    settle_counts: Callable[[], Awaitable[None]]
    """Duplicates are counted within a second; this does not wait for the second."""
    suspect: Callable[[EventId, EventId], Awaitable[None]]
    """Mark an event as a suspected replay of another."""


def new_event(delivery: str = "1", *, source: str = "demo", body: bytes = b"{}", **fields: Any) -> NewEvent:
    """An event as intake makes it."""
    now = time_ns()
    values = {
        "id": event_id(now),
        "source": source,
        "provider": "hmac",
        "key": delivery_key(source, delivery.encode()),
        "delivery_id": delivery,
        "type": None,
        "received_at": datetime.fromtimestamp(now / 1e9, UTC),
        "headers": (("content-type", "application/json"), ("x-odd", 'é"\\')),
        "content_type": "application/json",
        "body": body,
        "digest": sha256(body).digest(),
        "verification": "hmac-sha256",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "quarantine": None,
    }
    return NewEvent(**{**values, **fields})


async def settled(outcomes: Sequence[Outcome | Pending]) -> list[Outcome]:
    """Wait for those that are on their own way."""
    return [await outcome.outcome if isinstance(outcome, Pending) else outcome for outcome in outcomes]


async def append(store: EventStore, *events: NewEvent) -> list[Outcome]:
    """Append and wait for every outcome."""
    return await settled(await store.append(events))


def memory_kit(wrap: Callable[[EventStore], EventStore]) -> Kit:
    """Stores on one memory."""
    inner = MemoryEventStore()

    async def inbox() -> list[str]:
        return list(inner.inbox)

    async def suspect(replay: EventId, first: EventId) -> None:
        inner.suspect(replay, first)

    store, twin = wrap(inner), wrap(inner)
    return Kit(store, twin, inner, inbox, lambda: _write_counts(store, twin), suspect)


async def postgres_kit(url: str, stack: AsyncExitStack, wrap: Callable[[EventStore], EventStore]) -> Kit:
    """Stores on one database, each with connections of its own."""

    def inner() -> PostgresEventStore:
        connections = Connections(url, budget=PATIENT, largest=6)
        stack.push_async_callback(connections.close)
        return PostgresEventStore(connections)

    engine = make_engine(url, budget=PATIENT, largest=2)
    stack.push_async_callback(engine.dispose)

    async def inbox() -> list[str]:
        connection = await asyncpg.connect(url)
        try:
            return [str(row["event_id"]) for row in await connection.fetch("SELECT event_id FROM inbox ORDER BY seq")]
        finally:
            await connection.close()

    async def suspect(replay: EventId, first: EventId) -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute("INSERT INTO event_states (event_id, replay_of) VALUES ($1, $2)", replay, first)
        finally:
            await connection.close()

    store, twin = wrap(inner()), wrap(inner())
    return Kit(store, twin, PostgresEventReader(engine), inbox, lambda: _write_counts(store, twin), suspect)


async def _write_counts(*stores: EventStore) -> None:
    for store in stores:
        shield = store
        while isinstance(shield, GroupCommit | Hinting | BreakingStore):
            shield = shield._inner
        if isinstance(shield, Shielded):
            await shield.write_counts()
