"""What every event store promises, bare and under every policy."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

from app.core.domain.event import EventState
from app.core.domain.ids import event_id
from app.core.ports.event_reader import EventQuery
from app.core.ports.event_store import Appended, Duplicate
from tests.conformance.stores import Kit, append, new_event


async def test_an_appended_event_is_kept_as_it_was(kit: Kit) -> None:
    """Every field comes back, the bytes exactly."""
    body = bytes(range(256)) * 20
    event = new_event("§ 1", body=body, type="lead.created", source="a-source")
    (outcome,) = await append(kit.store, event)
    assert isinstance(outcome, Appended)
    assert outcome.event_id == event.id
    kept = await kit.reader.get(event.id)
    assert kept is not None
    assert await kit.reader.body(event.id) == body
    assert (kept.source, kept.provider, kept.type, kept.delivery_id) == ("a-source", "hmac", "lead.created", "§ 1")
    assert (kept.headers, kept.content_type, kept.digest) == (event.headers, event.content_type, event.digest)
    assert (kept.verification, kept.traceparent) == (event.verification, event.traceparent)
    assert (kept.state, kept.reason, kept.duplicates, kept.conflicts) == (EventState.RECEIVED, None, 0, 0)
    assert kept.size == len(body)
    assert kept.received_at == event.received_at
    assert await kit.inbox() == [event.id]


async def test_outcomes_come_in_the_order_of_the_events(kit: Kit) -> None:
    """Whatever order the store works in."""
    known = [new_event(str(number)) for number in range(0, 40, 2)]
    await append(kit.store, *known)
    events = [new_event(str(number)) for number in range(40)]
    outcomes = await append(kit.store, *events)
    for number, (event, outcome) in enumerate(zip(events, outcomes, strict=True)):
        if number % 2:
            assert isinstance(outcome, Appended)
            assert outcome.event_id == event.id
        else:
            assert isinstance(outcome, Duplicate)
            assert outcome.event_id == known[number // 2].id


async def test_nothing_to_append_is_no_error(kit: Kit) -> None:
    assert await append(kit.store) == []


async def test_a_repeated_delivery_names_the_first_event_and_is_counted(kit: Kit) -> None:
    first, *more = (new_event("same") for _ in range(4))
    await append(kit.store, first)
    for event in more:
        (outcome,) = await append(kit.store, event)
        assert isinstance(outcome, Duplicate)
        assert (outcome.event_id, outcome.same_body) == (first.id, True)
        assert await kit.reader.get(event.id) is None
    await kit.settle_counts()
    kept = await kit.reader.get(first.id)
    assert kept is not None
    assert (kept.duplicates, kept.conflicts) == (3, 0)
    assert await kit.inbox() == [first.id]


async def test_a_key_twice_in_one_call_is_kept_once(kit: Kit) -> None:
    events = [new_event("same") for _ in range(3)]
    outcomes = await append(kit.store, *events, new_event("other"))
    kept = [outcome for outcome in outcomes[:3] if isinstance(outcome, Appended)]
    assert len(kept) == 1
    assert {outcome.event_id for outcome in outcomes[:3]} == {kept[0].event_id}
    assert isinstance(outcomes[3], Appended)
    assert len(await kit.inbox()) == 2


async def test_the_very_same_event_again_is_appended_again(kit: Kit) -> None:
    """A policy that appends a batch a second time must not make an event its own duplicate."""
    event = new_event()
    await append(kit.store, event)
    (outcome,) = await append(kit.store, event)
    assert isinstance(outcome, Appended)
    await kit.settle_counts()
    kept = await kit.reader.get(event.id)
    assert kept is not None
    assert kept.duplicates == 0
    assert await kit.inbox() == [event.id]


async def test_the_same_id_at_another_source_is_another_event(kit: Kit) -> None:
    outcomes = await append(kit.store, new_event("1", source="a"), new_event("1", source="b"))
    assert all(isinstance(outcome, Appended) for outcome in outcomes)


async def test_other_bytes_under_a_known_key_are_a_conflict_and_change_nothing(kit: Kit) -> None:
    first = new_event("same", body=b"first")
    await append(kit.store, first)
    (outcome,) = await append(kit.store, new_event("same", body=b"second"))
    assert isinstance(outcome, Duplicate)
    assert (outcome.event_id, outcome.same_body) == (first.id, False)
    await kit.settle_counts()
    kept = await kit.reader.get(first.id)
    assert kept is not None
    assert (kept.duplicates, kept.conflicts) == (1, 1)
    assert await kit.reader.body(first.id) == b"first"


async def test_a_conflict_within_one_call_is_found_as_well(kit: Kit) -> None:
    one, two = new_event("same", body=b"one"), new_event("same", body=b"two")
    outcomes = await append(kit.store, one, two)
    (kept,) = (outcome for outcome in outcomes if isinstance(outcome, Appended))
    (other,) = (outcome for outcome in outcomes if isinstance(outcome, Duplicate))
    assert (other.event_id, other.same_body) == (kept.event_id, False)


async def test_many_writers_of_one_key_have_one_winner(kit: Kit) -> None:
    """From many tasks, and from two stores on the same data."""
    events = [new_event("same") for _ in range(60)]
    answers = await asyncio.gather(
        *(append(kit.store if number % 2 else kit.twin, event) for number, event in enumerate(events))
    )
    outcomes = [answer[0] for answer in answers]
    winners = [outcome for outcome in outcomes if isinstance(outcome, Appended)]
    assert len(winners) == 1
    assert {outcome.event_id for outcome in outcomes} == {winners[0].event_id}
    await kit.settle_counts()
    kept = await kit.reader.get(winners[0].event_id)
    assert kept is not None
    assert (kept.duplicates, kept.conflicts) == (59, 0)


async def test_many_writers_of_many_keys_keep_each_once(kit: Kit) -> None:
    """Batches that overlap in any order neither deadlock nor lose."""
    deliveries = [str(number % 100) for number in range(400)]
    events = [new_event(delivery) for delivery in deliveries]
    batches = [events[start : start + 40] for start in range(0, 400, 40)]
    answers = await asyncio.gather(
        *(
            append(kit.store if number % 2 else kit.twin, *(batch if number % 3 else reversed(batch)))
            for number, batch in enumerate(batches)
        )
    )
    kinds = Counter(type(outcome) for answer in answers for outcome in answer)
    assert kinds == {Appended: 100, Duplicate: 300}
    assert len(set(await kit.inbox())) == len(await kit.inbox()) == 100
    await kit.settle_counts()
    found = await kit.reader.find(EventQuery(limit=200))
    assert sorted(event.delivery_id for event in found) == sorted(set(deliveries))
    assert sum(event.duplicates for event in found) == 300


async def test_a_quarantined_event_is_kept_but_not_in_the_inbox(kit: Kit) -> None:
    good, bad = new_event("good"), new_event("bad", quarantine="the body is not JSON")
    await append(kit.store, good, bad)
    kept = await kit.reader.get(bad.id)
    assert kept is not None
    assert (kept.state, kept.reason) == (EventState.QUARANTINED, "the body is not JSON")
    assert await kit.inbox() == [good.id]


async def test_counts_of_duplicates_add_up(kit: Kit) -> None:
    one, two = new_event("1"), new_event("2")
    await append(kit.store, one, two)
    await kit.store.count_duplicates({one.id: 2, two.id: 1})
    await kit.store.count_duplicates({one.id: 3})
    await kit.store.count_duplicates({})
    kept = [await kit.reader.get(event.id) for event in (one, two)]
    assert [event and event.duplicates for event in kept] == [5, 1]


async def test_a_suspected_replay_names_the_first_event_and_nothing_else_does(kit: Kit) -> None:
    """In a list as well as alone, and beside what is counted later."""
    first, replay = new_event("1"), new_event("2")
    await append(kit.store, first, replay)
    await kit.suspect(replay.id, first.id)
    await kit.store.count_duplicates({replay.id: 1})
    assert [event.replay_of for event in await kit.reader.find(EventQuery())] == [first.id, None]
    kept = [await kit.reader.get(event.id) for event in (first, replay)]
    assert [(event.replay_of, event.duplicates) for event in kept if event] == [(None, 0), (first.id, 1)]


async def test_the_epoch_of_a_commit_is_the_store_s_own(kit: Kit) -> None:
    """A store that has just committed vouches for the same database, and so does another one on it."""
    (outcome,) = await append(kit.store, new_event("1"))
    assert outcome.flush.epoch
    assert outcome.flush.epoch == kit.store.epoch()
    await append(kit.twin, new_event("2"))
    assert kit.twin.epoch() == kit.store.epoch()


async def test_lists_come_newest_first_and_by_every_filter(kit: Kit) -> None:
    """The reader's promise, on what each store wrote."""
    start = datetime.now(UTC).replace(microsecond=0)
    events = []
    for number in range(8):
        at = start + timedelta(milliseconds=10 * number)
        events.append(
            new_event(
                str(number),
                id=event_id(int(at.timestamp() * 1e9)),
                received_at=at,
                source="a" if number % 2 else "b",
                type="odd" if number % 2 else None,
                quarantine="unreadable" if number == 5 else None,
            )
        )
    await append(kit.store, *events)

    async def found(**query: object) -> list[str]:
        return [event.delivery_id for event in await kit.reader.find(EventQuery(**query))]  # type: ignore[arg-type]

    assert await found() == list("76543210")
    assert await found(limit=3) == list("765")
    assert await found(before=events[5].id, limit=2) == list("43")
    assert await found(source="a") == list("7531")
    assert await found(type="odd", before=events[7].id) == list("531")
    assert await found(state=EventState.QUARANTINED) == ["5"]
    assert await found(state=EventState.RECEIVED, source="a") == list("731")
    assert await found(state=EventState.DEAD) == []
    assert await found(received_after=events[2].received_at, received_before=events[6].received_at) == list("543")
    assert await found(received_after=events[7].received_at) == []
