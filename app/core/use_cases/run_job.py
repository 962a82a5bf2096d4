"""Running a claimed job: its steps one after another, from the first that is not done, until done, failed or lost.

What a worker knows of a step it tells the store before it goes on. Before an action that has an effect outside, the
intent and the idempotency key are recorded; after it, the result. So whoever takes the job over finds out how far it
got: what is done is not done again; what may be done is done again with the same key, but for an action that is unsafe
to repeat, which is parked for a person.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from random import Random

from app.core.domain.connector import Done, Effect, Failed, Json
from app.core.domain.delivery_key import printable
from app.core.domain.errors import OutcomeUnknown, RowFault, Unavailable
from app.core.domain.job import ExecutionStatus, Move
from app.core.domain.job_input import payload_of
from app.core.domain.step import StepPlan, StepRecord, StepStatus, idempotency_key
from app.core.ports.job_claims import ClaimedJob, JobClaims, Progress, Settlement
from app.core.ports.job_telemetry import ExecutionRecord, JobTelemetry, StepAttempt
from app.core.use_cases.try_step import Tool, TryStep

LONGEST_MESSAGE = 1_000


class Lost(Exception):
    """Another worker has the job by now: this one must stop, and write nothing."""


@dataclass(frozen=True, slots=True)
class RunJob:
    """Run one claimed job as far as it goes."""

    claims: JobClaims
    try_step: TryStep
    telemetry: JobTelemetry
    random: Random = field(default_factory=Random)
    clock_ns: Callable[[], int] = time.time_ns

    async def __call__(
        self, job: ClaimedJob, held: Callable[[], bool] = lambda: True, on_ran: Callable[[], object] = lambda: None
    ) -> bool:
        """Run it and settle it; False when it was lost meanwhile, and whatever was not recorded is left undone.

        `held` tells whether the lease is held that it was claimed on, as far as one knows here; `on_ran` is called when
        nothing is left to do but to tell the store. A defect of ours ends
        the job as a dead letter: it would stay with this worker for ever.

        Raises `Unavailable` or `OutcomeUnknown` where the store could not be told; the lease then decides.
        """
        started_ns = self.clock_ns()
        record = ExecutionRecord(job, self.telemetry.begin(job, started_ns), started_ns)
        try:
            try:
                settlement = await self._run(job, record, held)
                on_ran()
                settled = await self.claims.settle([settlement])
            except (Lost, Unavailable, OutcomeUnknown):
                raise
            except Exception as error:  # noqa: BLE001
                settlement = _unkept(job, record, error) if isinstance(error, RowFault) else _defect(job, record, error)
                settled = await self.claims.settle([settlement])
            if job.id not in settled:
                raise Lost
        except Lost:
            return False
        except asyncio.CancelledError:
            record.status = ExecutionStatus.RETURNED if held() else ExecutionStatus.LOST
            raise
        else:
            record.status = settlement.execution
            record.delay_seconds = settlement.delay_seconds if settlement.move is Move.POSTPONE else None
            return True
        finally:
            record.ended_ns = self.clock_ns()
            self.telemetry.finish(record)

    async def _run(self, job: ClaimedJob, record: ExecutionRecord, held: Callable[[], bool]) -> Settlement:
        if job.payload is None and job.body is None:
            return _without_event(job, record)
        steps = list(job.steps)
        payload = _payload(job)
        for place, plan in enumerate(job.plan):
            if steps[place].status is StepStatus.COMPLETED:
                continue
            if place and steps[place - 1] is not job.steps[place - 1]:
                await self._told(job, steps, held)  # what is done so far can be seen, and found again
            settlement = await self._step(job, record, plan, place, steps, payload, held)
            if settlement is not None:
                return settlement
        return _settled(job, record, Move.COMPLETE, ExecutionStatus.COMPLETED, steps)

    async def _step(
        self,
        job: ClaimedJob,
        record: ExecutionRecord,
        plan: StepPlan,
        place: int,
        steps: list[StepRecord],
        payload: Json,
        held: Callable[[], bool],
    ) -> Settlement | None:
        before = steps[place]
        tool = await self.try_step.find(plan)
        now_ns = self.clock_ns()
        unsafe = isinstance(tool, Tool) and tool.action.effect is Effect.UNSAFE
        if unsafe and before.status is StepStatus.RUNNING:
            return _parked(job, record, steps, place, "it was begun, and nobody knows whether it was carried out")
        begun = steps[place] = StepRecord(
            before.name,
            StepStatus.RUNNING,
            before.output,
            before.error_message,
            before.code,
            before.tries + 1,
            before.first_tried or now_ns / 1e9,
            idempotency_key(job.event_id or job.id, job.flow or job.connector_name, plan.name, job.run),
        )
        if isinstance(tool, Tool) and tool.action.effect is not Effect.IDEMPOTENT:
            await self._told(job, steps, held)
        trace = self.telemetry.begin_step(record.trace, plan.name, now_ns)
        connector = tool.connection.connector if isinstance(tool, Tool) else ""
        attempt = StepAttempt(plan.name, plan.use, connector, plan.action, steps[place].tries, trace, now_ns)
        record.steps.append(attempt)
        if isinstance(tool, Tool):
            known = _known(job, payload, steps)
            outcome = await self.try_step.use(tool, plan, steps[place], known, trace.traceparent)
        else:
            outcome = tool
        attempt.ended_ns = self.clock_ns()
        attempt.failed = outcome if isinstance(outcome, Failed) else None
        if isinstance(outcome, Failed) and outcome.maybe_done and unsafe:
            return _parked(job, record, steps, place, outcome.message)
        if isinstance(outcome, Done):
            steps[place] = StepRecord(
                begun.name, StepStatus.COMPLETED, outcome.output, None, None, begun.tries, begun.first_tried, begun.key
            )
            return None
        return self._failed(job, record, plan, steps, place, outcome)

    async def _told(self, job: ClaimedJob, steps: list[StepRecord], held: Callable[[], bool]) -> None:
        progress = Progress(job.id, job.token, tuple(steps), _result(steps))
        # This process may have stood still since it was written, for longer than the lease lasted.
        if job.id not in await self.claims.record([progress]) or not held():
            raise Lost

    def _failed(
        self,
        job: ClaimedJob,
        record: ExecutionRecord,
        plan: StepPlan,
        steps: list[StepRecord],
        place: int,
        failed: Failed,
    ) -> Settlement:
        message = _message(f"{plan.name}: {failed.message}")
        step = replace(steps[place], status=StepStatus.ERROR, error_message=message, code=failed.code)
        steps[place] = step
        age = max(self.clock_ns() / 1e9 - (step.first_tried or 0), 0.0)
        delay = plan.retry.next_delay(failed.failure, step.tries, age, self.random.random(), failed.retry_after_seconds)
        settlement = _settled(job, record, Move.POSTPONE, ExecutionStatus.FAILED, steps)
        if delay is not None:
            return replace(settlement, error_message=message, delay_seconds=delay)
        fingerprint = _fingerprint(job, plan, failed.code)
        return replace(settlement, move=Move.FAIL, error_message=message, fingerprint=fingerprint)


def _payload(job: ClaimedJob) -> Json:
    if job.payload is not None:
        return json.loads(job.payload)
    return payload_of(job.content_type, job.body or b"")


def _known(job: ClaimedJob, payload: Json, steps: Sequence[StepRecord]) -> Mapping[str, Json]:
    """Give what a step's expressions may speak of."""
    return {
        "event": {"id": job.event_id, "type": job.event_type, "body": payload},
        "steps": {step.name: {"output": step.output} for step in steps},
    }


def _result(steps: list[StepRecord]) -> Json:
    """Give the output of the last step that is done."""
    done = [step.output for step in steps if step.status is StepStatus.COMPLETED]
    return done[-1] if done else None


def _settled(
    job: ClaimedJob, record: ExecutionRecord, move: Move, execution: ExecutionStatus, steps: list[StepRecord]
) -> Settlement:
    return Settlement(
        job.id, job.token, job.attempt, move, execution, tuple(steps), _result(steps),
        traceparent=record.trace.traceparent,
    )  # fmt: skip


def _message(text: str) -> str:
    """Make what a connector says fit to be kept, whatever it holds."""
    return printable(text.encode("utf-8", "backslashreplace"))[:LONGEST_MESSAGE]


def _dead(job: ClaimedJob, record: ExecutionRecord, message: str, fingerprint: str) -> Settlement:
    """End a job for good that got no further than it was recorded."""
    return Settlement(
        job.id, job.token, job.attempt, Move.FAIL, ExecutionStatus.FAILED, steps=None,
        error_message=_message(message), fingerprint=fingerprint, traceparent=record.trace.traceparent,
    )  # fmt: skip


def _unkept(job: ClaimedJob, record: ExecutionRecord, error: RowFault) -> Settlement:
    """Settle a job whose result the database does not take, as dead: running it again would end in the same way."""
    return _dead(job, record, f"what came of it cannot be kept: {error}", "result_not_kept")


def _defect(job: ClaimedJob, record: ExecutionRecord, error: Exception) -> Settlement:
    name = type(error).__name__
    message = f"OpsConnect itself failed ({name}): report it, and retry the job with a version that mends it"
    return _dead(job, record, message, f"defect_{name}")


def _without_event(job: ClaimedJob, record: ExecutionRecord) -> Settlement:
    return _dead(
        job, record, f"its event {job.event_id} is not kept any more, so there is nothing to run on", "event_gone"
    )


def _parked(job: ClaimedJob, record: ExecutionRecord, steps: list[StepRecord], place: int, why: str) -> Settlement:
    message = _message(f"{steps[place].name}: {why}") + ". Look at the other side, then retry the job or cancel it"
    steps[place] = replace(steps[place], error_message=message, code="outcome_unknown")
    settlement = _settled(job, record, Move.PARK, ExecutionStatus.PARKED, steps)
    return replace(settlement, error_message=message)


def _fingerprint(job: ClaimedJob, plan: StepPlan, code: str) -> str:
    """Name what failures of the same kind have in common: the flow, the step, what it uses, and the failure's code."""
    text = "\0".join((job.flow or "", plan.name, plan.use, plan.action, code))
    return sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]
