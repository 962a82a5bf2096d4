"""The inbox in memory, for tests: the event store holds it."""

from collections.abc import Callable

from app.adapters.memory.jobs import Jobs
from app.core.domain.event import EventState, NewEvent
from app.core.ports.inbox import Decision, Inbox, InboxEvent, Planned


class MemoryInbox(Inbox):
    """The in-process twin."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def plan(self, most: int, decide: Callable[[InboxEvent], Decision]) -> Planned | None:
        """Decide on all of them first: whoever dies at it has changed nothing."""
        if self._jobs.being_planned:
            return None
        ids = self._jobs.events.inbox[:most]
        waiting = [event for event_id in ids if (event := self._jobs.events.event(event_id))]
        decisions = [(event, decide(_seen(event))) for event in waiting]
        del self._jobs.events.inbox[: len(ids)]
        for event, decision in decisions:
            self._jobs.events.become(event.id, _state(decision), decision.quarantine)
            for job in decision.jobs:
                self._jobs.add(job)
        jobs = sum(len(decision.jobs) for _, decision in decisions)
        return Planned(len(ids), jobs, more=bool(self._jobs.events.inbox))


def _seen(event: NewEvent) -> InboxEvent:
    return InboxEvent(event.id, event.source, event.type, event.content_type, event.body, event.traceparent)


def _state(decision: Decision) -> EventState:
    if decision.quarantine is not None:
        return EventState.QUARANTINED
    return EventState.RECEIVED if decision.jobs else EventState.DISCARDED
