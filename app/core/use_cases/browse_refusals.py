"""Looking at what was refused, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.core.domain.ids import RefusalId, is_id
from app.core.domain.refusal import Refusal
from app.core.ports.refusal_store import RefusalQuery, RefusalStore


@dataclass(frozen=True, slots=True)
class RefusalPage:
    """Some refusals, newest first, and the one after which the next page begins; None on the last one."""

    refusals: Sequence[Refusal]
    next_before: RefusalId | None


@dataclass(frozen=True, slots=True)
class BrowseRefusals:
    """List refusals, show one with its headers and its bytes. Raises `Unavailable`."""

    refusals: RefusalStore

    async def find(self, query: RefusalQuery) -> RefusalPage:
        """Give one page of `query.limit` refusals."""
        found = list(await self.refusals.find(replace(query, limit=query.limit + 1)))
        shown = found[: query.limit]
        return RefusalPage(shown, shown[-1].id if len(found) > len(shown) else None)

    async def get(self, refusal_id: str) -> Refusal | None:
        """Give one refusal whole; None for an id that names nothing."""
        return await self.refusals.get(RefusalId(refusal_id)) if is_id(refusal_id) else None
