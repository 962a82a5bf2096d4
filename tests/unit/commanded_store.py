"""An event store that does what a test tells it: hold back, fail before or after it keeps, refuse or block a row."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from app.adapters.memory.event_store import MemoryEventStore
from app.core.domain.errors import OpsConnectError, RowFault
from app.core.domain.event import NewEvent
from app.core.domain.ids import EventId
from app.core.ports.event_store import EventStore, Outcome


class CommandedStore(EventStore):
    """A memory store at the end of a wire that the test holds."""

    def __init__(self) -> None:
        self.memory = MemoryEventStore()
        self.calls: list[list[NewEvent]] = []
        """The events of each call, in the order of the calls."""
        self.open = asyncio.Event()
        """Every call waits for it before it does anything."""
        self.open.set()
        self.at_fault: dict[bytes, type[RowFault]] = {}
        """Keys whose rows stand in the way of a batch, and how."""
        self.before: list[Exception | None] = []
        """What the next calls raise instead of keeping anything."""
        self.after: list[Exception | None] = []
        """What the next calls raise after they have kept everything."""
        self.vouches = True
        """Whether the store has answered within the last second."""
        self.restarts = 0
        self.most_calls_for_a_key = 0
        self._calls_for = Counter[bytes]()

    def epoch(self) -> str | None:
        return f"commanded/{self.restarts}" if self.vouches else None

    async def append(self, events: Sequence[NewEvent]) -> Sequence[Outcome]:
        self.calls.append(list(events))
        keys = {event.key for event in events}
        self._calls_for.update(keys)
        self.most_calls_for_a_key = max(self.most_calls_for_a_key, *(self._calls_for[key] for key in keys))
        try:
            await self.open.wait()
            if self.before and (error := self.before.pop(0)):
                raise error
            for event in events:
                if fault := self.at_fault.get(event.key):
                    raise fault(f"{event.delivery_id} is at fault")
            outcomes = await self.memory.append(events)
            for outcome in outcomes:
                outcome.flush.epoch = f"commanded/{self.restarts}"
            if self.after and (error := self.after.pop(0)):
                raise error
            return outcomes
        finally:
            self._calls_for.subtract(keys)

    async def count_duplicates(self, counts: Mapping[EventId, int]) -> None:
        if self.before and (error := self.before.pop(0)):
            raise error
        await self.memory.count_duplicates(counts)

    @property
    def sizes(self) -> list[int]:
        """How many events each call brought."""
        return [len(call) for call in self.calls]


async def until(condition: Callable[[], object]) -> None:
    """Let everybody else go on until something holds; fail after some seconds."""
    async with asyncio.timeout(5):
        for turn in count():
            if condition():
                return
            await asyncio.sleep(0 if turn < 50 else 0.001)


async def fates(*appends: "asyncio.Future[Sequence[Outcome]]") -> list[Outcome | OpsConnectError]:
    """What became of appends of one event each."""
    results = await asyncio.gather(*appends, return_exceptions=True)
    told: list[Outcome | OpsConnectError] = []
    for result in results:
        if isinstance(result, OpsConnectError):
            told.append(result)
        elif isinstance(result, BaseException):
            raise result
        else:
            (outcome,) = result
            told.append(outcome)
    return told
