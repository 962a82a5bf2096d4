"""Planning: what becomes of an event is what its source says, and bodies that cannot be read are set aside."""

from typing import Any

import pytest

from app.adapters.memory.event_store import MemoryEventStore
from app.adapters.memory.inbox import MemoryInbox
from app.adapters.memory.job_store import MemoryJobStore
from app.adapters.memory.jobs import Jobs
from app.core.domain.errors import Unavailable
from app.core.domain.event import EventState, NewEvent
from app.core.domain.job import JobStatus
from app.core.domain.source import Source
from app.core.domain.step import StepPlan
from app.core.ports.inbox import Planned
from app.core.ports.job_store import JobQuery
from app.core.use_cases.plan_jobs import MOST_AT_ONCE, PlanJobs
from tests.conformance.stores import append, new_event
from tests.running import KeptTelemetry


class Planner:
    """The use case on memories."""

    def __init__(self, *sources: Source) -> None:
        self.events = MemoryEventStore()
        self.jobs = Jobs(self.events)
        self.store = MemoryJobStore(self.jobs)
        self.telemetry = KeptTelemetry()
        self.sources: list[Source] | None = list(sources)
        self.plan = PlanJobs(MemoryInbox(self.jobs), lambda: self.sources, self.telemetry)

    async def event(self, **fields: Any) -> NewEvent:
        event = new_event(str(len(self.events.inbox)), **fields)
        await append(self.events, event)
        return event

    async def state(self, event: NewEvent) -> tuple[EventState, str | None]:
        kept = await self.events.get(event.id)
        assert kept is not None
        return kept.state, kept.reason


def source(name: str = "demo", run: str | None = "crm.post") -> Source:
    return Source(name, "hmac", None, run=run)


async def test_an_event_becomes_the_job_that_its_source_runs() -> None:
    planner = Planner(source("other", "crm.delete"), source())
    event = await planner.event()
    assert await planner.plan() == Planned(1, 1)
    (job,) = (await planner.store.find(JobQuery())).jobs
    assert (job.status, job.connector_name, job.event_id, job.flow) == (JobStatus.PENDING, "crm", event.id, None)
    assert job.traceparent == event.traceparent
    assert planner.jobs.kept[job.id].new.steps == (StepPlan("post", "crm", "post"),)
    assert planner.jobs.kept[job.id].new.payload is None
    ((told, jobs),) = planner.telemetry.plans
    assert (told.id, jobs) == (event.id, [job.id])


async def test_a_source_may_leave_the_action_to_the_connector() -> None:
    planner = Planner(source(run="crm"))
    await planner.event()
    await planner.plan()
    (job,) = planner.jobs.kept.values()
    assert job.new.steps == (StepPlan("crm", "crm", ""),)


async def test_an_event_that_nobody_wants_is_discarded() -> None:
    """Because its source runs nothing, or is not there any more."""
    planner = Planner(source(run=None))
    events = [await planner.event(), await planner.event(source="gone")]
    assert await planner.plan() == Planned(2, 0)
    assert [await planner.state(event) for event in events] == [(EventState.DISCARDED, None)] * 2
    assert [jobs for _, jobs in planner.telemetry.plans] == [[], []]


@pytest.mark.parametrize("run", ["crm.post", None])
async def test_a_body_that_claims_to_be_json_and_is_none_is_set_aside(run: str | None) -> None:
    planner = Planner(source(run=run))
    broken, other = await planner.event(body=b"{"), await planner.event(body=b"\xff", content_type="image/png")
    assert (await planner.plan()) == Planned(2, 1 if run else 0)
    state, reason = await planner.state(broken)
    assert state is EventState.QUARANTINED
    assert reason is not None
    assert "not JSON" in reason
    assert (await planner.state(other))[0] is (EventState.RECEIVED if run else EventState.DISCARDED)


async def test_before_the_sources_are_known_nothing_is_planned() -> None:
    planner = Planner()
    planner.sources = None
    event = await planner.event()
    with pytest.raises(Unavailable, match="not known yet"):
        await planner.plan()
    assert planner.events.inbox == [event.id]


async def test_while_another_worker_plans_nothing_is_told() -> None:
    planner = Planner(source())
    await planner.event()
    planner.jobs.being_planned = True
    assert await planner.plan() is None
    assert planner.telemetry.plans == []


async def test_events_are_planned_a_batch_at_a_time() -> None:
    planner = Planner(source())
    await append(planner.events, *(new_event(str(number)) for number in range(MOST_AT_ONCE + 1)))
    assert [await planner.plan() for _ in range(3)] == [
        Planned(MOST_AT_ONCE, MOST_AT_ONCE),
        Planned(1, 1),
        Planned(0, 0),
    ]
