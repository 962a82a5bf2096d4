"""Running a job after something went wrong around it: workers that die, stand still or lose it, and keys that stay."""

import asyncio
from typing import Any

import pytest

from app.core.domain.connector import ActionCall, Done, Effect
from app.core.domain.job import ExecutionStatus, Job, JobStatus
from app.core.domain.step import StepStatus
from tests.conformance.stores import append, new_event
from tests.jobs import a_job
from tests.running import Worker, step


async def test_a_completed_job_that_runs_again_has_another_key() -> None:
    worker = Worker()
    job = await worker.start(step(Effect.KEYED))
    await worker.store.rerun(job.id)
    job = await worker.turn()
    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 2)
    first, second = worker.connector.calls
    assert first.key != second.key


async def test_keys_are_those_of_the_event_where_there_is_one() -> None:
    """And others for other steps and flows."""
    worker = Worker()
    event = new_event()
    await append(worker.events, event)
    for flow in ("a", "a", "b"):
        await worker.start(step(name="first"), step(name="second"), event_id=event.id, flow=flow)
    keys = [call.key for call in worker.connector.calls]
    assert keys[:2] == keys[2:4]
    assert len(set(keys)) == 4


async def crash_in(worker: Worker, effect: Effect, *, twice: bool = False) -> Job:
    """Let the worker die while the action is under way, and the next one take the job over."""

    async def die(_call: ActionCall) -> Done:
        raise asyncio.CancelledError

    worker.connector.act = die
    await worker.store.add([new := a_job(steps=(step(effect),), connector_name="test")])
    for _ in range(2 if twice else 1):
        with pytest.raises(asyncio.CancelledError):
            await worker.run_job(await worker.claim())
        assert worker.telemetry.records[-1].status is ExecutionStatus.RETURNED
        await worker.die()
    worker.connector.act = worker.connector.give_back
    job = await worker.turn()
    assert job.id == new.id
    return job


@pytest.mark.parametrize("effect", [Effect.IDEMPOTENT, Effect.KEYED])
async def test_what_was_cut_off_is_done_again_with_the_same_key(effect: Effect) -> None:
    worker = Worker()
    job = await crash_in(worker, effect)
    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 2)
    first, second = worker.connector.calls
    assert first.key == second.key
    assert len(first.key) == 32


async def test_what_is_unsafe_to_repeat_and_was_begun_is_parked() -> None:
    """Nobody calls the other side again before a person has looked; then it is called, with the same key."""
    worker = Worker()
    job = await crash_in(worker, Effect.UNSAFE)
    assert (job.status, len(worker.connector.calls)) == (JobStatus.WAITING, 1)
    assert job.error_message is not None
    assert "nobody knows whether it was carried out" in job.error_message
    assert job.executions[-1].status is ExecutionStatus.PARKED
    assert worker.telemetry.records[-1].steps == []
    await worker.store.rerun(job.id)
    assert (await worker.turn()).status is JobStatus.COMPLETED
    first, second = worker.connector.calls
    assert first.key == second.key


@pytest.mark.parametrize("effect", [Effect.KEYED, Effect.UNSAFE])
async def test_the_intent_and_the_key_are_recorded_before_the_effect(effect: Effect) -> None:
    worker = Worker()
    recorded: list[Any] = []

    async def look(call: ActionCall) -> Done:
        (only,) = worker.jobs.kept[new.id].steps
        recorded.append((only.status, only.tries, only.key, call.key))
        return Done(None)

    worker.connector.act = look
    await worker.store.add([new := a_job(steps=(step(effect),))])
    await worker.turn()
    (call,) = worker.connector.calls
    assert recorded == [(StepStatus.RUNNING, 1, call.key, call.key)]


@pytest.mark.parametrize("effect", Effect)
async def test_a_worker_that_lost_its_job_goes_no_further(effect: Effect) -> None:
    """Another one has it by now: it is told between two steps, and before an effect."""
    worker = Worker()

    async def lose(_call: ActionCall) -> Done:
        await worker.die()
        return Done("stale")

    worker.connector.act = lose
    await worker.store.add([new := a_job(steps=(step(name="first"), step(effect, name="second")))])
    stale = await worker.claim()
    assert await worker.run_job(stale) is False
    assert [call.action for call in worker.connector.calls] == ["idempotent"]
    assert worker.telemetry.records[-1].status is ExecutionStatus.LOST
    job = await worker.look(new.id)
    assert (job.status, job.result) == (JobStatus.RETRYING, None)
    worker.connector.act = worker.connector.give_back
    assert (await worker.turn()).status is JobStatus.COMPLETED


async def test_a_worker_that_lost_its_job_at_the_last_step_changes_nothing() -> None:
    worker = Worker()

    async def lose(_call: ActionCall) -> Done:
        await worker.die()
        return Done("stale")

    worker.connector.act = lose
    await worker.store.add([new := a_job(steps=(step(),))])
    assert await worker.run_job(await worker.claim()) is False
    assert (await worker.look(new.id)).status is JobStatus.RETRYING


@pytest.mark.parametrize("effect", [Effect.KEYED, Effect.UNSAFE])
async def test_a_worker_that_stood_still_past_its_lease_has_no_effect_any_more(effect: Effect) -> None:
    """Though the store still took what it recorded: that was before it stood still."""
    worker = Worker()
    await worker.store.add([a_job(steps=(step(effect),))])
    assert await worker.run_job(await worker.claim(), lambda: False) is False
    assert worker.connector.calls == []


async def test_a_defect_of_ours_makes_a_dead_letter() -> None:
    """It would stay with this worker for ever; what was raised is named, not quoted."""
    worker = Worker()
    worker.claims.before_settle = [ZeroDivisionError("a secret")]
    job = await worker.start(step())
    assert (job.status, job.fingerprint) == (JobStatus.ERROR, "defect_ZeroDivisionError")
    assert "a secret" not in (job.error_message or "")
