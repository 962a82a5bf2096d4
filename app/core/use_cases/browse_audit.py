"""Looking at what operators did, and proving that nobody has changed it since."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.core.domain.audit import BEFORE_THE_FIRST, AuditEntry, Head, fault_in
from app.core.ports.audit_log import AuditLog, AuditQuery

AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some entries, newest first, and the place before which the next page begins; None on the last one."""

    entries: Sequence[AuditEntry]
    next_before: int | None


@dataclass(frozen=True, slots=True)
class Verified:
    """What a walk along the whole chain found."""

    head: Head
    """The last entry that is right; note it elsewhere, and a later walk can prove that this one is still there."""
    fault: str | None
    """What is wrong with the one after it; None: nothing, to the end."""


@dataclass(frozen=True, slots=True)
class BrowseAudit:
    """List entries, verify the chain. Raises `Unavailable`."""

    audit: AuditLog

    async def find(self, query: AuditQuery) -> AuditPage:
        """Give one page of `query.limit` entries."""
        found = list(await self.audit.find(replace(query, limit=query.limit + 1)))
        shown = found[: query.limit]
        return AuditPage(shown, shown[-1].seq if len(found) > len(shown) else None)

    async def verify(self, noted: Head | None = None) -> Verified:
        """Walk the chain from its first entry; `noted`: an entry that must be in it, as an earlier walk gave it."""
        head = Head(0, BEFORE_THE_FIRST)
        met = noted is None or noted == head
        while entries := await self.audit.walk(after=head.seq, at_most=AT_ONCE):
            for entry in entries:
                fault = fault_in(entry, head)
                if fault is not None:
                    return Verified(head, fault)
                head = Head(entry.seq, entry.hash)
                met = met or head == noted
        if noted is not None and not met:
            return Verified(head, f"entry {noted.seq} is not the one that was noted, or was cut off the end")
        return Verified(head, None)
