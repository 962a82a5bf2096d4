"""What a batch of events holds is what Postgres keeps, whatever is in a text and however long a body is."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest

from app.adapters.postgres.connections import Connections
from app.adapters.postgres.event_rows import arguments_of
from app.adapters.postgres.event_store import PostgresEventStore
from app.core.domain.errors import RowRejected
from app.core.domain.event import NewEvent
from app.core.ports.event_store import Appended
from tests.conformance.stores import append, new_event
from tests.conftest import PATIENT

TEXTS = ("source", "provider", "delivery_id", "type", "content_type", "verification", "traceparent", "quarantine")
ROWS = """
SELECT e.*, e.id::text AS id, e.headers::text AS headers, s.state, s.reason AS quarantine, i.source AS inbox,
       k.key, k.digest AS key_digest, k.received_at AS key_received_at
FROM events e JOIN delivery_keys k ON k.event_id = e.id
     LEFT JOIN event_states s ON s.event_id = e.id LEFT JOIN inbox i ON i.event_id = e.id
"""


@pytest.fixture
def database_url(emptied_database: str) -> str:
    """One for all tests here: they only fill it."""
    return emptied_database


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresEventStore]:
    connections = Connections(database_url, budget=PATIENT, largest=1)
    yield PostgresEventStore(connections)
    await connections.close()


async def check(store: PostgresEventStore, database: Any, *events: NewEvent) -> None:
    """Append them in one batch; every field of each is kept as it was."""
    assert {type(outcome) for outcome in await append(store, *events)} == {Appended}
    rows = {row["id"]: row for row in await database.fetch(ROWS)}
    await database.execute("DELETE FROM events")
    assert len(rows) == len(events)
    for event in events:
        row = rows[event.id]
        for name in set(NewEvent._fields) - {"headers", "body"}:
            assert row[name] == getattr(event, name), name
        assert orjson.loads(row["headers"]) == [list(header) for header in event.headers]
        assert row["body"] == event.body  # not in the loop above: a difference of megabytes would be shown
        assert (row["key_digest"], row["key_received_at"]) == (event.digest, event.received_at)
        quarantined = event.quarantine is not None
        assert (row["state"], row["inbox"]) == (("quarantined", None) if quarantined else (None, event.source))


def with_text(column: str, text: str | None, **others: Any) -> NewEvent:
    """An event, with a delivery id of its own, that holds this text in this column."""
    return new_event(**{"delivery": f"{column}/{text!r}", **others})._replace(**{column: text})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["\x1f", "\x1e", "a\x1fb", "\x1fa\x1e", "\x1f\ue000\ue001", "é\x1f§\U0001f600", "NULL"]
)
async def test_no_text_is_taken_for_a_mark(store: PostgresEventStore, database: Any, text: str) -> None:
    """Neither the usual marks nor those that take their place; and the neighbours stay whole."""
    headers = (("x-\ue002", text),)
    for column in TEXTS:
        odd = with_text(column, text, headers=headers)
        await check(store, database, new_event(f"1{column}", type="t"), odd, new_event(f"2{column}", quarantine="why"))
    await check(store, database, *(with_text(column, text, delivery=f"3{column}") for column in TEXTS))
    await check(store, database, new_event(delivery="alone", headers=headers))


async def test_an_empty_text_is_not_the_same_as_none(store: PostgresEventStore, database: Any) -> None:
    """Alone, where there is nothing to part."""
    for column in TEXTS:
        await check(store, database, with_text(column, ""))


async def test_empty_texts_stand_beside_others(store: PostgresEventStore, database: Any) -> None:
    """At the ends as well as in the middle, and a whole column of them."""
    empties = dict.fromkeys(TEXTS, "")
    events = [new_event(f"{n}", **(empties if n in {0, 2, 4} else {}), headers=()) for n in range(5)]  # type: ignore[arg-type]
    await check(store, database, *(event._replace(traceparent="") for event in events))


@pytest.mark.parametrize("column", ["type", "content_type", "quarantine"])
async def test_none_is_kept_as_none(store: PostgresEventStore, database: Any, column: str) -> None:
    """Alone and among others, empty ones too."""
    mixed = [None, "", "there", None]
    await check(store, database, *(with_text(column, text, delivery=f"{n}") for n, text in enumerate(mixed)))
    await check(store, database, with_text(column, None))


@pytest.mark.parametrize("size", [1, 20])
async def test_times_are_exact_to_the_microsecond(store: PostgresEventStore, database: Any, size: int) -> None:
    """Long before and after today, and in another zone."""
    times = [
        datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(1700, 1, 1, 0, 0, 0, 1, UTC),
        datetime(2199, 12, 31, 23, 59, 59, 999_999, UTC),
        *(datetime(2026, 7, 31, 12, 34, 56, n, UTC) for n in (0, 1, 999_999, *range(3, 10**6, 99_991))),
        datetime(2026, 7, 31, 23, 34, 56, 123_457, timezone(timedelta(hours=5, minutes=45))),
    ]
    for start in range(0, len(times), size):
        await check(store, database, *(new_event(f"{at}", received_at=at) for at in times[start : start + size]))


async def test_bodies_of_every_size_are_kept_apart(store: PostgresEventStore, database: Any) -> None:
    """As many rows as a batch can have; first, last and some between are empty, and one is of two megabytes."""
    bodies = [bytes([n % 256]) * (n * 37 % 5000 if n % 16 else 0) for n in range(255)]
    bodies.insert(100, bytes(range(256)) * 8192)
    bodies[-1] = b""
    await check(store, database, *(new_event(f"{n}", body=body) for n, body in enumerate(bodies)))


@pytest.mark.parametrize("body", [b"", b"\0\xff", bytes(2_000_000)], ids=["empty", "two bytes", "2 MB"])
async def test_a_body_alone_is_kept(store: PostgresEventStore, database: Any, body: bytes) -> None:
    await check(store, database, new_event(body=body))


@pytest.mark.parametrize("text", ["a\0b", "a\ud800", "\x1f\ud800"])
async def test_a_text_that_cannot_be_kept_is_a_fault_of_its_row(
    store: PostgresEventStore, database: Any, text: str
) -> None:
    """Not an outcome that nobody knows: the batch is appended again in halves."""
    for column in TEXTS:
        good, bad = new_event("good"), with_text(column, text)
        for batch in ([good, bad], [bad]):
            with pytest.raises(RowRejected):
                await append(store, *batch)
    assert await database.fetchval("SELECT count(*) FROM delivery_keys") == 0
    await check(store, database, good)


async def test_headers_that_cannot_be_kept_are_a_fault_of_their_row(store: PostgresEventStore, database: Any) -> None:
    """A NUL can: JSON escapes it, and it is never unescaped there."""
    with pytest.raises(RowRejected):
        await append(store, new_event("good"), new_event("bad", headers=(("x", "\ud800"),)))
    await check(store, database, new_event("good"), new_event("odd", headers=(("x", "a\0b"),)))


@pytest.mark.parametrize(("key", "digest"), [(31, 32), (33, 32), (32, 31), (32, 33)])
def test_a_key_of_another_length_shifts_no_other(key: int, digest: int) -> None:
    """Even where the next one makes up for it."""
    events = [
        new_event(key=bytes(key), digest=bytes(digest)),
        new_event(key=bytes(64 - key), digest=bytes(64 - digest)),
    ]
    with pytest.raises(RowRejected, match="32 bytes"):
        arguments_of(events)
