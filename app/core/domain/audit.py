"""What operators did, as a chain: each entry's hash covers the entry and the hash before it.

So an entry that was changed, removed or put in between is found by whoever walks the chain. What was cut off its end is
not; that shows beside a hash that was noted elsewhere.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256

from app.core.domain.delivery_key import printable

Detail = str | int | bool | None | Sequence[str]

BEFORE_THE_FIRST = bytes(32)
"""What stands for the hash before the first entry."""


class Action(StrEnum):
    """Everything that operators can do and that is written down: `noun.verb`. A dry run is no action."""

    APPLY = "apply"
    REFUSAL_RELEASE = "refusal.release"
    SOURCE_REGISTER = "source.register"
    SOURCE_REVEAL_SECRET = "source.reveal_secret"  # noqa: S105 (no secret)
    SOURCE_FORGET_SECRET = "source.forget_secret"  # noqa: S105 (no secret)
    JOB_RETRY = "job.retry"
    JOB_CANCEL = "job.cancel"
    KEY_CREATE = "key.create"
    KEY_REVOKE = "key.revoke"


@dataclass(frozen=True, slots=True)
class NewAuditEntry:
    """An action that is about to be carried out."""

    actor: str
    action: Action
    target: str
    """What it is done to: a name or an id."""
    details: Mapping[str, Detail] = field(default_factory=dict)
    """What else one wants to know later. Never a secret."""
    trace_id: str | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: `admin` (who has the admin key), `key:NAME`, `cli:USER`, or `open` where no key is needed."""

    name: str
    trace_id: str | None = None
    """The trace of the request, where there is one: 32 hexadecimal digits."""

    def does(self, action: Action, target: str, **details: Detail) -> NewAuditEntry:
        """Write down what this one is about to do."""
        return NewAuditEntry(
            printable(self.name.encode("utf-8", "surrogatepass")),
            action,
            printable(target.encode("utf-8", "surrogatepass")),
            details,
            self.trace_id,
        )


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An entry of the log."""

    seq: int
    """Its place: 1, 2, 3 …, without a gap."""
    at: datetime
    """By the database's clock, before the action was carried out."""
    actor: str
    action: str
    """One of `Action`, or of another version's."""
    target: str
    details: Mapping[str, Detail]
    trace_id: str | None
    hash: bytes
    """32 bytes: `link` of this entry and the hash before."""


@dataclass(frozen=True, slots=True)
class Head:
    """An entry's place and hash, which say everything about all entries until then."""

    seq: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"


def entered(new: NewAuditEntry, last: Head, at: datetime) -> AuditEntry:
    """Make the entry that follows the last one."""
    values = (last.seq + 1, at, new.actor, str(new.action), new.target, new.details, new.trace_id)
    return AuditEntry(*values, hash=link(last.hash, AuditEntry(*values, hash=b"")))


def link(before: bytes, entry: AuditEntry) -> bytes:
    """Make an entry's hash: SHA-256 of the hash before it and of the entry as canonical JSON.

    Canonical: the names sorted, no blanks, ASCII alone, the time in UTC to the microsecond.
    """
    content = {
        "seq": entry.seq,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target,
        "details": entry.details,
        "trace_id": entry.trace_id,
    }
    return sha256(before + canonical(content).encode()).digest()


def canonical(content: Mapping[str, object]) -> str:
    """Write JSON in the one way in which it is hashed."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def fault_in(entry: AuditEntry, last: Head) -> str | None:
    """Say what is wrong with an entry that is to follow the last one; None: nothing is."""
    if entry.seq != last.seq + 1:
        return f"entry {last.seq + 1} is missing"
    if link(last.hash, entry) != entry.hash:
        return f"entry {entry.seq} is not as it was written, or does not follow the one before it"
    return None
