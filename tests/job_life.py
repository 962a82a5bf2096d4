"""The life of jobs as a state machine: whatever operators, workers and lost workers do, the store goes with a model."""

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule

from app.core.domain.connector import Json
from app.core.domain.event import EventState
from app.core.domain.ids import EventId, JobId
from app.core.domain.job import OPEN, TRANSITIONS, ExecutionStatus, JobStatus, Move
from app.core.domain.step import StepRecord, resumed
from app.core.ports.job_claims import MOST_LOSSES, SUSPECT_AFTER, ClaimedJob, Progress
from app.core.ports.job_store import Illegal, JobQuery, Moved
from tests.conformance.jobs import JobKit
from tests.jobs import EXECUTIONS, STEPS, a_job, done, settlement

T = TypeVar("T")

LATER_SECONDS = 1_000.0
LEASE_SECONDS = 1e7
FRESH = tuple(StepRecord(step.name) for step in STEPS)
LIVES = settings(
    stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
"""Others use this machine too."""
RECORDS = st.sampled_from([
    (done("first", 1), StepRecord("second")),
    (done("first", [None]), done("second", {"n": 10**30})),
    FRESH,
])  # fmt: skip


@dataclass
class ModelJob:
    """What a job is to be."""

    event: EventId | None
    status: JobStatus = JobStatus.PENDING
    run: int = 1
    losses: int = 0
    later: bool = False
    """It is retrying, and not due yet."""
    worker: str | None = None
    steps: tuple[StepRecord, ...] = FRESH
    result: Json = None
    executions: list[ExecutionStatus] = field(default_factory=list)

    def move(self, move: Move) -> None:
        self.status = TRANSITIONS[self.status, move]

    def end(self, status: ExecutionStatus) -> None:
        self.worker = None
        self.executions[-1] = status


class JobLife(RuleBasedStateMachine):
    """Two workers, two events, and any number of jobs."""

    held = Bundle("held")
    """Claims that may still be good, or have been taken away."""

    def open_kit(self) -> AbstractAsyncContextManager[JobKit]:
        """Give the place in which this life goes by, empty."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._kit = self._wait(self._stack.enter_async_context(self.open_kit()))
        self._jobs: dict[JobId, ModelJob] = {}
        self._ended: set[str] = set()
        self._workers = [self._wait(self._kit.worker(LEASE_SECONDS)) for _ in range(2)]
        self._states = {self._wait(self._kit.event()).id: EventState.RECEIVED for _ in range(2)}
        self._results = count()

    def _wait(self, call: Awaitable[T]) -> T:
        return self._loop.run_until_complete(call)

    def teardown(self) -> None:
        try:
            for job_id in self._jobs:
                self._same(job_id)
        finally:
            self._wait(self._stack.aclose())
            self._loop.close()

    @rule(events=st.lists(st.sampled_from([None, 0, 1]), min_size=1, max_size=3))
    def add(self, events: list[int | None]) -> None:
        ids = list(self._states)
        new = [a_job(event_id=None if event is None else ids[event]) for event in events]
        self._wait(self._kit.store.add(new))
        for job in new:
            self._jobs[job.id] = ModelJob(job.event_id)
            self._received(job.event_id)

    @rule(target=held, number=st.integers(0, 1), most=st.integers(1, 4), suspect=st.booleans())
    def claim(self, number: int, most: int, suspect: bool) -> Any:
        worker = self._workers[number]
        claimed = self._wait(self._kit.claims.claim(worker, most, suspect=suspect))
        ids = [job.id for job in claimed]
        fresh, late = self._claimable(JobStatus.PENDING, suspect), self._claimable(JobStatus.RETRYING, suspect)
        if worker in self._ended:
            assert ids == []
        else:
            assert len(ids) == min(most, len(fresh) + len(late))
            assert ids == sorted(ids)
            taken = [job_id for job_id in ids if job_id in fresh]
            assert taken == fresh[: len(taken)]
            assert set(ids) <= {*fresh, *late}
            assert len(taken) >= min(len(fresh), most // 2)
            assert len(ids) - len(taken) >= min(len(late), most // 2)
        for job in claimed:
            model = self._jobs[job.id]
            model.move(Move.CLAIM)
            model.worker = worker
            model.executions.append(ExecutionStatus.RUNNING)
            assert (job.run, job.losses, job.steps) == (model.run, model.losses, model.steps)
            assert (job.attempt, job.event_id) == (len(model.executions), model.event)
        return multiple(*claimed)

    @rule(job=held, steps=RECORDS)
    def record(self, job: ClaimedJob, steps: tuple[StepRecord, ...]) -> None:
        result = next(self._results)
        held = self._wait(self._kit.claims.record([Progress(job.id, job.token, steps, result)]))
        assert set(held) == ({job.id} if self._is_held(job) else set())
        if held:
            self._jobs[job.id].steps, self._jobs[job.id].result = steps, result

    @rule(job=held, move=st.sampled_from(list(EXECUTIONS)), steps=RECORDS | st.none(), later=st.booleans())
    def settle(self, job: ClaimedJob, move: Move, steps: tuple[StepRecord, ...] | None, later: bool) -> None:
        """The claim stays among those that are tried: settling again changes nothing."""
        result = next(self._results)
        delay = LATER_SECONDS if later and move is Move.POSTPONE else 0.0
        end = settlement(job, move, steps=steps, result=result, delay_seconds=delay)
        held = self._wait(self._kit.claims.settle([end]))
        assert set(held) == ({job.id} if self._is_held(job) else set())
        if held:
            model = self._jobs[job.id]
            if steps is not None:
                model.steps, model.result = steps, result
            model.losses, model.later = 0, delay > 0
            model.end(EXECUTIONS[move])
            model.move(move)
            self._settled(model.event)

    @rule(job=consumes(held))
    def forget(self, job: ClaimedJob) -> None:
        """So that there is no crowd of stale claims."""

    @rule(number=st.integers(0, 1), leaves=st.booleans())
    def lose(self, number: int, leaves: bool) -> None:
        """A worker's lease ends, because it leaves or does not renew it; another takes its place."""
        worker = self._workers[number]
        if leaves:
            self._wait(self._kit.workers.leave(worker))
        else:
            assert self._wait(self._kit.workers.renew(worker, 0.0)) is (worker not in self._ended)
        self._ended.add(worker)
        assert self._wait(self._kit.workers.renew(worker, LEASE_SECONDS)) is False

    @precondition(lambda self: self._ended & {*self._workers})
    @rule()
    def enlist(self) -> None:
        for number, worker in enumerate(self._workers):
            if worker in self._ended:
                self._workers[number] = self._wait(self._kit.worker(LEASE_SECONDS))

    @rule()
    def rescue(self) -> None:
        rescued = self._wait(self._kit.claims.rescue())
        lost = [job for job in self._jobs.values() if job.worker in self._ended]
        for job in lost:
            job.losses += 1
            job.later = False
            job.end(ExecutionStatus.LOST)
            job.move(Move.LOSE)
            if job.losses >= MOST_LOSSES:
                job.move(Move.FAIL)
                self._settled(job.event)
        dead = sum(job.status is JobStatus.ERROR for job in lost)
        suspects = sum(len(self._claimable(status, True)) for status in (JobStatus.PENDING, JobStatus.RETRYING))
        assert rescued[1:] == (len(lost) - dead, dead, suspects)

    @precondition(lambda self: self._jobs)
    @rule(data=st.data(), move=st.sampled_from([Move.RERUN, Move.CANCEL]))
    def change(self, data: st.DataObject, move: Move) -> None:
        job_id = data.draw(st.sampled_from(list(self._jobs)))
        job = self._jobs[job_id]
        change = self._kit.store.rerun if move is Move.RERUN else self._kit.store.cancel
        moved = self._wait(change(job_id))
        if (job.status, move) not in TRANSITIONS:
            assert moved == Illegal(job.status)
            return
        if move is Move.RERUN:
            if job.status is JobStatus.COMPLETED:
                job.run, job.steps, job.result = job.run + 1, FRESH, None
            job.steps, job.losses, job.later = resumed(job.steps), 0, False
        job.move(move)
        assert moved == Moved(job.status)
        if move is Move.RERUN:
            self._received(job.event)
        self._settled(job.event)

    @rule()
    def let_pass(self) -> None:
        self._wait(self._kit.let_pass(LATER_SECONDS))
        for job in self._jobs.values():
            job.later = False

    @invariant()
    def every_job_and_event_stands_where_it_should(self) -> None:
        page = self._wait(self._kit.store.find(JobQuery(limit=10_000)))
        assert {job.id: (job.status, job.attempt) for job in page.jobs} == {
            job_id: (job.status, len(job.executions)) for job_id, job in self._jobs.items()
        }
        assert page.total == len(page.jobs)
        for event_id, state in self._states.items():
            assert self._wait(self._kit.state(event_id)) is state

    def _same(self, job_id: JobId) -> None:
        model, job = self._jobs[job_id], self._wait(self._kit.job(job_id))
        assert (job.status, job.steps, job.result) == (model.status, model.steps, model.result)
        assert [one.status for one in job.executions] == model.executions[-100:]
        assert [one.attempt for one in job.executions] == list(range(1, len(model.executions) + 1))[-100:]

    def _claimable(self, status: JobStatus, suspect: bool) -> list[JobId]:
        return sorted(
            job_id
            for job_id, job in self._jobs.items()
            if job.status is status and not job.later and (job.losses >= SUSPECT_AFTER) == suspect
        )

    def _is_held(self, job: ClaimedJob) -> bool:
        model = self._jobs[job.id]
        return model.worker is not None and len(model.executions) == job.attempt

    def _received(self, event: EventId | None) -> None:
        if event is not None:
            self._states[event] = EventState.RECEIVED

    def _settled(self, event: EventId | None) -> None:
        statuses = {job.status for job in self._jobs.values() if job.event == event}
        if event is not None and not statuses & OPEN:
            done = EventState.PROCESSED if JobStatus.COMPLETED in statuses else EventState.DISCARDED
            self._states[event] = EventState.DEAD if JobStatus.ERROR in statuses else done
