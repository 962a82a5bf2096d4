"""Refusals in memory, for tests."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from app.core.domain.ids import EventId, RefusalId
from app.core.domain.refusal import NewRefusal, Refusal
from app.core.ports.refusal_store import RefusalQuery, RefusalStore


@dataclass
class _Kept:
    refusal: NewRefusal
    event_id: EventId | None = None


class MemoryRefusalStore(RefusalStore):
    """The in-process twin: as durable as its process."""

    def __init__(self) -> None:
        self._kept: dict[RefusalId, _Kept] = {}

    async def keep(self, refusals: Sequence[NewRefusal]) -> None:
        """Put each where there is none of its id."""
        for refusal in refusals:
            self._kept.setdefault(refusal.id, _Kept(refusal))

    async def find(self, query: RefusalQuery) -> Sequence[Refusal]:
        """Walk all of them, newest first."""
        found = (replace(_seen(kept), headers=None, body=None) for kept in self._newest_first())
        return [refusal for refusal in found if _matches(refusal, query)][: query.limit]

    async def get(self, refusal_id: RefusalId) -> Refusal | None:
        """Give one whole."""
        kept = self._kept.get(refusal_id)
        return _seen(kept) if kept else None

    async def mark_released(self, refusal_id: RefusalId, event_id: EventId) -> None:
        """Note it beside the refusal."""
        kept = self._kept.get(refusal_id)
        if kept is not None and kept.event_id is None:
            kept.event_id = event_id

    async def trim(self, *, count: int, weight: int, before: datetime, at_most: int) -> int:
        """Rank each within its source, then all by these ranks; whatever stands beyond a bound goes."""
        ranks: dict[str, tuple[int, int]] = {}
        ranked: list[tuple[int, int, NewRefusal]] = []
        for kept in self._newest_first():
            number, total = ranks.get(kept.refusal.source, (0, 0))
            ranks[kept.refusal.source] = number + 1, total + kept.refusal.weight
            ranked.append((number + 1, total + kept.refusal.weight, kept.refusal))
        by_number = [refusal for _, _, refusal in sorted(ranked, key=lambda rank: rank[0])]
        beyond = {refusal.id for refusal in by_number[count:]}
        sum_so_far = 0
        for _, _, refusal in sorted(ranked, key=lambda rank: rank[1]):
            sum_so_far += refusal.weight
            if sum_so_far > weight or refusal.received_at < before:
                beyond.add(refusal.id)
        going = sorted(beyond)[:at_most]
        for refusal_id in going:
            del self._kept[refusal_id]
        return len(going)

    def _newest_first(self) -> Iterable[_Kept]:
        return (kept for _, kept in sorted(self._kept.items(), reverse=True))


def _seen(kept: _Kept) -> Refusal:
    refusal = kept.refusal
    return Refusal(
        **refusal._asdict(),
        size=None if refusal.body is None else len(refusal.body),
        digest=None if refusal.body is None else sha256(refusal.body).digest(),
        event_id=kept.event_id,
    )


def _matches(refusal: Refusal, query: RefusalQuery) -> bool:
    return (
        query.source in (None, refusal.source)
        and query.code in (None, refusal.code)
        and query.state in (None, refusal.state)
        and (query.received_after is None or refusal.received_at > query.received_after)
        and (query.received_before is None or refusal.received_at < query.received_before)
        and (query.before is None or refusal.id < query.before)
    )
