"""The chain of hashes: no entry is changed, removed, moved or put in between without being found."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest

from app.adapters.memory.audit_log import MemoryAuditLog
from app.core.domain.audit import BEFORE_THE_FIRST, Action, Actor, AuditEntry, Head, entered, link
from app.core.use_cases import browse_audit
from app.core.use_cases.browse_audit import BrowseAudit, Verified

AT = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
ADA = Actor("key:ada", "0af7651916cd43dd8448eb211c80319c")

Entries = list[AuditEntry]


def a_log(count: int = 6) -> MemoryAuditLog:
    moments = iter(AT + timedelta(seconds=number) for number in range(count))
    log = MemoryAuditLog(lambda: next(moments))
    for number in range(count):
        asyncio.run(log.append(ADA.does(Action.REFUSAL_RELEASE, f"refusal {number}", source="demo")))
    return log


def verified(log: MemoryAuditLog, noted: Head | None = None) -> Verified:
    return asyncio.run(BrowseAudit(log).verify(noted))


def changed(**fields: object) -> Callable[[Entries], object]:
    return lambda entries: entries.__setitem__(2, replace(entries[2], **fields))  # type: ignore[arg-type]


def rehashed(entries: Entries) -> None:
    """Change one, and give it the hash that it would have had."""
    forged = replace(entries[2], actor="key:bob")
    entries[2] = replace(forged, hash=link(entries[1].hash, forged))


TAMPERED: dict[str, tuple[Callable[[Entries], object], int]] = {
    "actor": (changed(actor="key:bob"), 2),
    "action": (changed(action="apply"), 2),
    "target": (changed(target="another"), 2),
    "details": (changed(details={"source": "other"}), 2),
    "a detail more": (changed(details={"source": "demo", "x": None}), 2),
    "time": (changed(at=AT), 2),
    "trace": (changed(trace_id=None), 2),
    "hash": (changed(hash=bytes(32)), 2),
    "changed with its hash": (rehashed, 3),
    "removed": (lambda entries: entries.pop(2), 2),
    "the first removed": (lambda entries: entries.pop(0), 0),
    "exchanged": (lambda entries: entries.__setitem__(slice(2, 4), entries[3:1:-1]), 2),
    "doubled": (lambda entries: entries.insert(3, entries[2]), 3),
    "moved up": (changed(seq=9), 2),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_whatever_is_done_to_an_entry_is_found_where_it_was_done(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse_audit, "AT_ONCE", 2)
    tamper, right = TAMPERED[name]
    log = a_log()
    assert verified(log) == Verified(Head(6, log.entries[-1].hash), None)
    tamper(log.entries)
    found = verified(log)
    assert found.fault is not None
    assert found.head.seq == right


def test_what_was_cut_off_the_end_shows_beside_a_hash_that_was_noted() -> None:
    log = a_log()
    noted, middle = verified(log).head, Head(3, log.entries[2].hash)
    assert verified(log, noted).fault is None
    assert verified(log, middle).fault is None
    del log.entries[4:]
    assert verified(log).fault is None
    assert verified(log, middle).fault is None
    assert verified(log, noted).fault == "entry 6 is not the one that was noted, or was cut off the end"


def test_a_chain_that_was_written_anew_is_right_in_itself_and_not_the_noted_one() -> None:
    log = a_log()
    noted = verified(log).head
    log.entries[0] = replace(log.entries[0], actor="key:bob")
    last = Head(0, BEFORE_THE_FIRST)
    for place, entry in enumerate(log.entries):
        log.entries[place] = replace(entry, hash=link(last.hash, entry))
        last = Head(entry.seq, log.entries[place].hash)
    assert verified(log).fault is None
    assert verified(log, noted).fault is not None


def test_an_empty_log_is_right_and_holds_nothing_that_was_noted() -> None:
    assert verified(MemoryAuditLog()) == Verified(Head(0, BEFORE_THE_FIRST), None)
    assert verified(MemoryAuditLog(), Head(0, BEFORE_THE_FIRST)).fault is None
    assert verified(MemoryAuditLog(), Head(1, bytes(32))).fault is not None


def test_a_hash_is_the_same_in_every_version_and_wherever_the_clock_stands() -> None:
    """What it covers is a promise: logs that were written must stay right."""
    new = ADA.does(Action.KEY_CREATE, "déploy", scope="read", expires_at=None)
    entry = entered(new, Head(4, b"\x01" * 32), AT)
    assert (entry.seq, entry.at) == (5, AT)
    content = (
        '{"action":"key.create","actor":"key:ada","at":"2026-11-02T12:00:00.000000+00:00",'
        '"details":{"expires_at":null,"scope":"read"},"seq":5,"target":"d\\u00e9ploy",'
        '"trace_id":"0af7651916cd43dd8448eb211c80319c"}'
    )
    assert entry.hash == sha256(b"\x01" * 32 + content.encode()).digest()
    elsewhere = replace(entry, at=AT.astimezone(timezone(timedelta(hours=5))))
    assert link(b"\x01" * 32, elsewhere) == entry.hash
