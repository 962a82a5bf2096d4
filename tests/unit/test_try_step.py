"""Trying a step: what it works with, what it is given, and that nothing comes out but an outcome."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from app.core.domain.address import why_forbidden
from app.core.domain.connection import Connection
from app.core.domain.connector import ActionCall, Done, Effect, Failed, Failure
from app.core.domain.job import Job, JobStatus
from app.core.domain.step import StepPlan
from tests.conformance.stores import append, new_event
from tests.jobs import TRACEPARENT
from tests.running import CommandedConnector, Worker, step

CRM = Connection("crm", "test", {"base_url": "http://crm.internal"}, (("token", "env:TOKEN"),), ("10.0.0.0/8",))


async def code_of(worker: Worker, plan: StepPlan, **fields: Any) -> tuple[JobStatus, str | None, str]:
    """What becomes of a job of this step: its status, the failure's code, and what is told."""
    job = await worker.start(plan, **fields)
    return job.status, job.steps[0].code, job.error_message or ""


async def test_a_connection_brings_its_settings_its_secrets_and_its_private_addresses() -> None:
    worker = Worker(connections={"crm": CRM}, seconds=7.5)
    job = await worker.start(step(Effect.KEYED, use="crm", input={"path": "/x"}))
    assert job.status is JobStatus.COMPLETED
    (call,) = worker.connector.calls
    assert (call.action, call.input, call.settings) == ("keyed", {"path": "/x"}, {"base_url": "http://crm.internal"})
    assert (call.secrets, call.seconds, call.whole) == ({"token": b"s3cret"}, 7.5, False)
    assert why_forbidden("10.1.2.3", "crm.internal", call.allow_private) is None
    assert worker.telemetry.records[0].steps[0].connector == "test"


async def test_a_connector_is_used_by_its_own_name_where_no_connection_has_it() -> None:
    worker = Worker(connections={})
    await worker.start(step())
    assert worker.connector.calls[0].settings == {}
    worker = Worker(connections={"test": Connection("test", "test", {"mine": True})})
    await worker.start(step())
    assert worker.connector.calls[0].settings == {"mine": True}


async def test_where_no_action_is_named_the_first_is_meant() -> None:
    worker = Worker()
    await worker.start(StepPlan("only", "test", ""))
    assert worker.connector.calls[0].action == Effect.IDEMPOTENT.value


async def test_a_payload_goes_whole_and_an_input_does_not() -> None:
    """So that no stranger's payload is read as an instruction."""
    worker = Worker()
    await worker.start(step(name="whole"), step(name="said", input={"path": "/${event.body.a}"}))
    whole, said = worker.connector.calls
    assert (whole.input, whole.whole, said.input, said.whole) == ({"a": 1}, True, {"path": "/1"}, False)


@pytest.mark.parametrize(
    ("content_type", "body", "payload"),
    [
        ("application/json", b'{"n": 123456789012345678901234567890}', {"n": 123456789012345678901234567890}),
        ("application/x-www-form-urlencoded", b"a=1&a=2", {"a": ["1", "2"]}),
        ("image/png", b"\x00\xff", {"body_b64": "AP8="}),
        (None, b"", {"body_b64": ""}),
    ],
)
async def test_the_payload_of_an_event_is_its_body_as_it_can_be_read(
    content_type: str | None, body: bytes, payload: Mapping[str, Any]
) -> None:
    worker = Worker()
    event = new_event(content_type=content_type, body=body, type="lead.created")
    await append(worker.events, event)
    asked = step(input={"id": "${event.id}", "type": "${event.type}", "body": "${event.body}"})
    await worker.start(asked, event_id=event.id, payload=None)
    assert worker.connector.calls[0].input == {"id": event.id, "type": "lead.created", "body": payload}


async def test_a_payload_of_the_job_s_own_comes_before_the_event_s_body() -> None:
    worker = Worker()
    event = new_event(body=b'{"of": "event"}')
    await append(worker.events, event)
    await worker.start(step(), event_id=event.id, payload='{"of":"job"}')
    assert worker.connector.calls[0].input == {"of": "job"}


async def test_what_is_not_there_is_named_with_what_is() -> None:
    worker = Worker(connections={"crm": CRM, "odd": Connection("odd", "gone")})
    error = JobStatus.ERROR
    status, code, told = await code_of(worker, StepPlan("only", "nobody", "post"))
    assert (status, code) == (error, "unknown_connector")
    assert "no connection or connector called 'nobody'" in told
    assert "connectors are test" in told
    status, code, told = await code_of(worker, StepPlan("only", "odd", "post"))
    assert (status, code) == (error, "unknown_connector")
    assert "no connector called 'gone'" in told
    status, code, told = await code_of(worker, StepPlan("only", "crm", "post"))
    assert (status, code) == (error, "unknown_action")
    assert "no action 'post': it has idempotent, keyed, unsafe" in told
    assert worker.connector.calls == []
    assert [one.steps[0].connector for one in worker.telemetry.records] == ["", "", ""]


@pytest.mark.parametrize("effect", Effect)
async def test_while_connections_cannot_be_looked_up_the_step_waits(effect: Effect) -> None:
    worker = Worker(connections=None)
    assert (await code_of(worker, step(effect)))[:2] == (JobStatus.RETRYING, "unavailable")
    assert worker.connector.calls == []


@pytest.mark.parametrize("effect", Effect)
async def test_a_secret_that_is_missing_is_told_by_its_reference_and_nothing_is_sent(effect: Effect) -> None:
    worker = Worker(connections={"crm": Connection("crm", "test", {}, (("token", "env:MISSING"),))})
    status, code, told = await code_of(worker, step(effect, use="crm"))
    assert (status, code) == (JobStatus.ERROR, "secret_missing")
    assert "env:MISSING is not set" in told
    assert worker.connector.calls == []


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize(
    "expression",
    ["steps.", "abs(event.body.s)", "contains(event.body.s, `1`)", "event.body.l[::0]", "ceil(event.body.f)"],
)
async def test_an_expression_that_cannot_be_evaluated_ends_the_job_and_says_where(
    effect: Effect, expression: str
) -> None:
    """Whatever the library raises for it."""
    worker = Worker()
    plan = step(effect, input={"path": ["ok", "/${%s}" % expression]})  # noqa: UP031 (braces)
    status, code, told = await code_of(worker, plan, payload='{"s":"x","l":[1],"f":1e400}')
    assert (status, code) == (JobStatus.ERROR, "invalid_input")
    assert f"with.path[1]: ${{{expression}}} cannot be evaluated" in told
    assert worker.connector.calls == []


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (ValueError("a secret"), "ValueError"),
        (ExceptionGroup("two", [ValueError(), KeyError()]), "ExceptionGroup"),
        (TimeoutError(), "timeout"),
        (Done({1, 2}), "ValueError"),
        (Done(float("nan")), "ValueError"),
        (Done([10**5000]), "ValueError"),
        (None, "AttributeError"),
        ("done", "AttributeError"),
    ],
)
@pytest.mark.parametrize(("effect", "status"), [(Effect.KEYED, JobStatus.RETRYING), (Effect.UNSAFE, JobStatus.WAITING)])
async def test_a_connector_that_raises_or_gives_back_nonsense_may_have_had_its_effect(
    outcome: Any, code: str, effect: Effect, status: JobStatus
) -> None:
    """So what is unsafe to repeat is parked. What was raised is named, never quoted: it may hold a secret."""
    worker = Worker()
    worker.connector.will(outcome)
    job = await worker.start(step(effect))
    assert job.status is status
    assert job.steps[0].code == (code if status is JobStatus.RETRYING else "outcome_unknown")
    assert "a secret" not in (job.error_message or "")


async def test_a_connector_that_hangs_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A little after its own limit, so that it can say better itself what happened."""
    monkeypatch.setattr("app.core.use_cases.try_step.GRACE_SECONDS", 0.01)
    worker = Worker(seconds=0.01)
    cut_off: list[BaseException] = []

    async def hang(_call: ActionCall) -> Done:
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            cut_off.append(error)
            raise
        return Done(None)

    worker.connector.act = hang
    job: Job = await worker.start(step(Effect.UNSAFE))
    assert (job.status, len(cut_off)) == (JobStatus.WAITING, 1)
    assert "did not end within 0.01 s" in (job.error_message or "")


async def test_the_trace_of_the_job_does_not_go_along_but_that_of_the_try() -> None:
    worker = Worker()
    await worker.start(step())
    assert worker.connector.calls[0].traceparent != TRACEPARENT


async def test_a_failure_is_what_the_connector_says() -> None:
    worker = Worker()
    worker.connector.will(failed := Failed(Failure.THROTTLED, "http_429", "slower", 3.0))
    await worker.start(step())
    assert worker.telemetry.records[0].steps[0].failed is failed


async def test_a_connector_that_fails_before_it_can_be_waited_for_is_no_defect_of_ours() -> None:
    """Other people's code need not be a coroutine function."""

    class Plain(CommandedConnector):
        def run(self, call: ActionCall) -> Any:
            raise ValueError(call.action)

    worker = Worker(connector=Plain())
    assert (await worker.start(step(Effect.UNSAFE))).status is JobStatus.WAITING
