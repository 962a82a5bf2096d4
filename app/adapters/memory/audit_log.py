"""The audit log in memory, for tests."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from app.core.domain.audit import BEFORE_THE_FIRST, AuditEntry, Head, NewAuditEntry, entered
from app.core.ports.audit_log import AuditLog, AuditQuery


class MemoryAuditLog(AuditLog):
    """The in-process twin: as durable as its process."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self.entries: list[AuditEntry] = []

    async def append(self, entry: NewAuditEntry) -> AuditEntry:
        """Link it to the last one."""
        last = Head(self.entries[-1].seq, self.entries[-1].hash) if self.entries else Head(0, BEFORE_THE_FIRST)
        self.entries.append(entered(entry, last, self._clock()))
        return self.entries[-1]

    async def find(self, query: AuditQuery) -> Sequence[AuditEntry]:
        """Walk all of them, newest first."""
        return [entry for entry in reversed(self.entries) if _matches(entry, query)][: query.limit]

    async def walk(self, *, after: int, at_most: int) -> Sequence[AuditEntry]:
        """Cut out a piece."""
        return [entry for entry in self.entries if entry.seq > after][:at_most]


def _matches(entry: AuditEntry, query: AuditQuery) -> bool:
    return (
        query.actor in (None, entry.actor)
        and query.action in (None, entry.action)
        and query.target in (None, entry.target)
        and (query.before is None or entry.seq < query.before)
    )
