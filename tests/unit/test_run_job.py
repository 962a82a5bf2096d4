"""Running a job: how each end of a step moves it, and what a worker that comes later finds."""

from typing import Any

import pytest

from app.core.domain.connector import ActionCall, Done, Effect, Failed, Failure
from app.core.domain.errors import OutcomeUnknown, RowRejected, Unavailable
from app.core.domain.job import ExecutionStatus, Job, JobStatus
from app.core.domain.retry import Backoff, RetryPolicy
from app.core.domain.step import StepStatus
from tests.conformance.stores import new_event
from tests.jobs import a_job
from tests.running import START, Worker, step

TENFOLD = RetryPolicy(Backoff(attempts=3, first_seconds=10.0, factor=10.0), {}, 1_000.0, 60.0)
AWAY = Failed(Failure.RETRY, "http_503", "it is away")
NO_ANSWER = Failed(Failure.RETRY, "timeout", "no answer came", maybe_done=True)


def delay(job: Job) -> float:
    """The seconds until the next try."""
    assert job.due_at is not None
    return (job.due_at - job.updated_at).total_seconds()


async def test_a_job_of_one_step_is_completed_with_its_output() -> None:
    worker = Worker()
    job = await worker.start(step())
    assert (job.status, job.result, job.error_message) == (JobStatus.COMPLETED, {"a": 1}, None)
    assert [(one.status, one.output) for one in job.executions] == [(ExecutionStatus.COMPLETED, {"a": 1})]
    assert [(one.status, one.tries, one.first_tried) for one in job.steps] == [(StepStatus.COMPLETED, 1, START)]
    (record,) = worker.telemetry.records
    assert (record.status, record.delay_seconds, record.started_ns) == (job.executions[0].status, None, START * 1e9)
    assert [(one.name, one.connector, one.tries, one.failed) for one in record.steps] == [("only", "test", 1, None)]


async def test_steps_run_one_after_another_and_see_what_came_before() -> None:
    """What is done so far is to be seen while the next one runs."""
    worker = Worker()
    seen: list[Any] = []

    async def look(call: ActionCall) -> Done:
        seen.append((await worker.store.get(new.id)).result)  # type: ignore[union-attr]
        return Done([call.input, len(seen)])

    worker.connector.act = look
    steps = [
        step(name="first"),
        step(name="second", input={"before": "${steps.first.output}", "body": "${event.body.a}"}),
        step(name="third", input={"n": "${steps.second.output[1]}", "id": "job of ${event.id}"}),
    ]
    await worker.store.add([new := a_job(steps=tuple(steps))])
    job = await worker.turn()
    first = [{"a": 1}, 1]
    second = [{"before": first, "body": 1}, 2]
    assert seen == [None, first, second]
    assert job.result == [{"n": 2, "id": "job of "}, 3]
    assert [call.input for call in worker.connector.calls] == [first[0], second[0], job.result[0]]


@pytest.mark.parametrize(
    ("failure", "tries"),
    [(Failure.RETRY, 10), (Failure.THROTTLED, 10), (Failure.PERMANENT, 3), (Failure.INVALID, 1)],
)
async def test_each_kind_of_failure_is_tried_as_often_as_its_policy_says(failure: Failure, tries: int) -> None:
    """Then the job is a dead letter."""
    worker = Worker()
    worker.connector.will(*[Failed(failure, "code", "it is broken")] * tries)
    job = await worker.start(step(retry=RetryPolicy(most_age_seconds=1e9)))
    while job.status is JobStatus.RETRYING:
        assert (job.error_message, job.fingerprint) == ("only: it is broken", None)
        worker.now += delay(job)
        job = await worker.turn()
    assert (job.status, job.attempt, job.error_message) == (JobStatus.ERROR, tries, "only: it is broken")
    assert [one.status for one in job.executions] == [ExecutionStatus.FAILED] * tries
    (only,) = job.steps
    assert (only.status, only.code, only.tries, only.first_tried) == (StepStatus.ERROR, "code", tries, START)
    assert [call.attempt for call in worker.connector.calls] == list(range(1, tries + 1))
    assert len({call.key for call in worker.connector.calls}) == 1


async def test_the_next_try_is_due_when_the_policy_says() -> None:
    """Half of ten seconds, then half of a hundred: chance is one half here."""
    worker = Worker()
    worker.connector.will(AWAY, AWAY, Done("at last"))
    job = await worker.start(step(retry=TENFOLD))
    assert delay(job) == 5.0
    assert worker.telemetry.records[-1].delay_seconds == 5.0
    worker.now += 5.0
    job = await worker.turn()
    assert delay(job) == 50.0
    worker.now += 50.0
    job = await worker.turn()
    assert (job.status, job.result, job.error_message) == (JobStatus.COMPLETED, "at last", None)
    assert (job.steps[0].error_message, job.steps[0].code, job.steps[0].tries) == (None, None, 3)


async def test_the_other_side_may_ask_for_patience_within_a_bound() -> None:
    worker = Worker()
    worker.connector.will(*(Failed(Failure.THROTTLED, "http_429", "slower", after) for after in (20.0, 1e9)))
    job = await worker.start(step(retry=TENFOLD))
    assert delay(job) == 20.0
    worker.now += 20.0
    assert delay(await worker.turn()) == 60.0


async def test_nothing_is_tried_beyond_the_total_age() -> None:
    """It is counted from the first try, however often the job was claimed since."""
    worker = Worker()
    worker.connector.will(AWAY, AWAY)
    job = await worker.start(step(retry=TENFOLD))
    worker.now += 951.0
    job = await worker.turn()
    assert (job.status, job.attempt) == (JobStatus.ERROR, 2)


async def test_dead_letters_of_one_kind_share_a_fingerprint() -> None:
    async def fingerprint(code: str, **fields: Any) -> str | None:
        worker = Worker()
        worker.connector.will(Failed(Failure.INVALID, code, "message"))
        name = fields.pop("name", "only")
        return (await worker.start(step(name=name), **fields)).fingerprint

    same = {await fingerprint("a"), await fingerprint("a", payload='{"b":2}')}
    assert len(same) == 1
    others = {await fingerprint("b"), await fingerprint("a", name="other"), await fingerprint("a", flow="flow")}
    assert len(same | others) == 4


async def test_a_failed_job_resumes_at_the_step_that_failed() -> None:
    worker = Worker()
    worker.connector.will(Done("one"), AWAY, Done("two"), Done("three"))
    names = ("first", "second", "third")
    job = await worker.start(*(step(name=name, input={"is": name}) for name in names))
    assert (job.status, job.result) == (JobStatus.RETRYING, "one")
    worker.now += delay(job)
    job = await worker.turn()
    assert (job.status, job.result) == (JobStatus.COMPLETED, "three")
    assert [call.input["is"] for call in worker.connector.calls] == ["first", "second", "second", "third"]


async def test_a_dead_letter_that_runs_again_has_all_its_tries_and_the_same_key() -> None:
    worker = Worker()
    worker.connector.will(*[AWAY] * 4, Done(1))
    job = await worker.start(step(Effect.KEYED, retry=RetryPolicy(Backoff(delays_seconds=(0.0,)))))
    job = await worker.turn()
    assert job.status is JobStatus.ERROR
    await worker.store.rerun(job.id)
    assert (await worker.turn()).status is JobStatus.RETRYING
    assert (await worker.turn()).status is JobStatus.ERROR
    assert [call.attempt for call in worker.connector.calls] == [1, 2, 1, 2]
    assert len({call.key for call in worker.connector.calls}) == 1


async def test_what_is_unsafe_to_repeat_and_may_have_happened_is_parked() -> None:
    worker = Worker()
    worker.connector.will(NO_ANSWER)
    job = await worker.start(step(Effect.UNSAFE))
    assert (job.status, job.steps[0].code) == (JobStatus.WAITING, "outcome_unknown")
    assert job.error_message == "only: no answer came. Look at the other side, then retry the job or cancel it"


@pytest.mark.parametrize("effect", [Effect.IDEMPOTENT, Effect.KEYED])
async def test_what_may_be_repeated_is_tried_again_though_it_may_have_happened(effect: Effect) -> None:
    worker = Worker()
    worker.connector.will(NO_ANSWER)
    assert (await worker.start(step(effect))).status is JobStatus.RETRYING


async def test_what_is_unsafe_but_has_surely_not_happened_is_tried_again() -> None:
    worker = Worker()
    worker.connector.will(AWAY, Done(1))
    job = await worker.start(step(Effect.UNSAFE))
    worker.now += delay(job)
    assert (await worker.turn()).status is JobStatus.COMPLETED


@pytest.mark.parametrize("error", [Unavailable("away"), OutcomeUnknown("who knows")])
async def test_a_store_that_cannot_be_told_is_the_worker_s_to_hear_of(error: Unavailable | OutcomeUnknown) -> None:
    """The job stays as it was recorded, and is found when the lease ends."""
    worker = Worker()
    worker.claims.before_settle = [error]
    await worker.store.add([new := a_job(steps=(step(),))])
    with pytest.raises(type(error)):
        await worker.run_job(await worker.claim())
    assert worker.telemetry.records[-1].status is ExecutionStatus.LOST
    await worker.die()
    job = await worker.turn()
    assert (job.id, job.status, job.attempt) == (new.id, JobStatus.COMPLETED, 2)


async def test_what_the_database_refuses_at_the_end_makes_a_dead_letter_as_far_as_it_was_recorded() -> None:
    worker = Worker()
    worker.claims.before_settle = [RowRejected("not this"), None]
    job = await worker.start(step(name="first"), step(name="second"))
    assert (job.status, job.fingerprint) == (JobStatus.ERROR, "result_not_kept")
    assert job.error_message == "what came of it cannot be kept: not this"
    assert [one.status for one in job.steps] == [StepStatus.COMPLETED, StepStatus.PENDING]
    assert job.result == {"a": 1}


async def test_what_the_database_refuses_in_the_middle_makes_a_dead_letter_too() -> None:
    worker = Worker()
    worker.claims.before_record = [RowRejected("not this")]
    job = await worker.start(step(name="first"), step(name="second"))
    assert (job.status, len(worker.connector.calls)) == (JobStatus.ERROR, 1)


@pytest.mark.parametrize("effect", Effect)
async def test_what_a_connector_says_is_made_fit_to_be_kept(effect: Effect) -> None:
    """One line without NUL or half a character, and not too long; parked or not."""
    worker = Worker()
    worker.connector.will(Failed(Failure.INVALID, "co\ud800de", "a\0b\ud800c\n" + "x" * 5000, maybe_done=True))
    job = await worker.start(step(effect))
    assert job.error_message is not None
    assert job.error_message.startswith("only: a\\x00b\\xed\\xa0\\x80c\\nxxx") or job.error_message.startswith(
        "only: a\\x00b\\ud800c\\nxxx"
    )
    assert len(job.error_message) < 1_100
    job.error_message.encode()


async def test_a_job_whose_event_is_gone_is_a_dead_letter() -> None:
    """Not a run on nothing."""
    worker = Worker()
    job = await worker.start(step(), payload=None, event_id=new_event().id)
    assert (job.status, job.fingerprint, worker.connector.calls) == (JobStatus.ERROR, "event_gone", [])


async def test_an_execution_is_told_with_its_own_trace_which_goes_along() -> None:
    worker = Worker()
    worker.connector.will(AWAY, Done(1))
    job = await worker.start(step())
    worker.now += delay(job)
    again = await worker.claim()
    first = worker.telemetry.records[0]
    assert again.previous_traceparent == first.trace.traceparent
    assert worker.connector.calls[0].traceparent == first.steps[0].trace.traceparent != first.trace.traceparent
