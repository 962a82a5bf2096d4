"""Planning: what becomes of an event is decided from its source, in the order in which events were kept."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from app.core.domain.errors import Unavailable
from app.core.domain.ids import job_id
from app.core.domain.job import NewJob
from app.core.domain.job_input import unreadable
from app.core.domain.retry import RetryPolicy
from app.core.domain.source import Source
from app.core.domain.step import StepPlan
from app.core.ports.inbox import Decision, Inbox, InboxEvent, Planned
from app.core.ports.job_telemetry import JobTelemetry

MOST_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class PlanJobs:
    """Make the jobs that events' sources want, a batch at a time."""

    inbox: Inbox
    sources: Callable[[], Collection[Source] | None]
    """All of them, as far as they are at hand; None: they were never loaded."""
    telemetry: JobTelemetry
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    """Of the steps that are planned."""
    clock_ns: Callable[[], int] = time.time_ns

    async def __call__(self) -> Planned | None:
        """Plan one batch; None: another worker is at it. Raises `Unavailable` or `OutcomeUnknown`."""
        at_hand = self.sources()
        if at_hand is None:
            raise Unavailable("the sources are not known yet, so no event can be planned")
        sources = {source.name: source for source in at_hand}
        started_ns = self.clock_ns()
        decided: list[tuple[InboxEvent, Decision]] = []

        def decide(event: InboxEvent) -> Decision:
            decision = self._decision(event, sources.get(event.source))
            decided.append((event, decision))
            return decision

        planned = await self.inbox.plan(MOST_AT_ONCE, decide)
        ended_ns = self.clock_ns()
        for event, decision in decided if planned else ():
            self.telemetry.planned(event, [job.id for job in decision.jobs], started_ns, ended_ns)
        return planned

    def _decision(self, event: InboxEvent, source: Source | None) -> Decision:
        if reason := unreadable(event.content_type, event.body):
            return Decision(quarantine=reason)
        if source is None or source.run is None:
            return Decision()
        use, _, action = source.run.partition(".")
        return Decision(
            [
                NewJob(
                    id=job_id(self.clock_ns()),
                    connector_name=use,
                    steps=(StepPlan(action or use, use, action, retry=self.retry),),
                    event_id=event.id,
                    traceparent=event.traceparent,
                )
            ]
        )
