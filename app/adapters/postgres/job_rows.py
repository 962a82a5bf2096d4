"""Jobs as the columns hold them: plan, steps and executions as JSON, written so that another version can read them."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from app.core.domain.connector import Failure
from app.core.domain.ids import EventId, JobId
from app.core.domain.job import Execution, ExecutionStatus, Job, JobStatus
from app.core.domain.json_text import json_ascii
from app.core.domain.retry import Backoff, RetryPolicy
from app.core.domain.step import StepPlan, StepRecord, StepStatus

MOST_EXECUTIONS_KEPT = 100

_USUAL = RetryPolicy()


def written_plan(plan: Sequence[StepPlan]) -> str:
    """Write what is planned."""
    return json_ascii([_plan(step) for step in plan])


@lru_cache(maxsize=256)  # jobs of one source or flow have the same; nothing changes what is read
def read_plan(text: str) -> tuple[StepPlan, ...]:
    """Read what is planned."""
    return tuple(
        StepPlan(step["name"], step["use"], step["action"], step.get("input"), _retry(step.get("retry")))
        for step in json.loads(text)
    )


def _plan(step: StepPlan) -> dict[str, Any]:
    told: dict[str, Any] = {"name": step.name, "use": step.use, "action": step.action}
    if step.input is not None:
        told["input"] = step.input
    if step.retry != _USUAL:
        told["retry"] = {
            "backoff": _backoff(step.retry.backoff),
            "by_failure": {failure.value: _backoff(backoff) for failure, backoff in step.retry.by_failure.items()},
            "most_age_seconds": step.retry.most_age_seconds,
            "most_retry_after_seconds": step.retry.most_retry_after_seconds,
        }
    return told


def _backoff(backoff: Backoff) -> list[Any]:
    return [backoff.attempts, backoff.first_seconds, backoff.factor, backoff.cap_seconds, backoff.delays_seconds]


def _retry(told: Mapping[str, Any] | None) -> RetryPolicy:
    if told is None:
        return _USUAL
    return RetryPolicy(
        _read_backoff(told["backoff"]),
        {Failure(name): _read_backoff(backoff) for name, backoff in told["by_failure"].items()},
        told["most_age_seconds"],
        told["most_retry_after_seconds"],
    )


def _read_backoff(told: Sequence[Any]) -> Backoff:
    attempts, first, factor, cap, delays = told
    return Backoff(attempts, first, factor, cap, None if delays is None else tuple(delays))


def written_steps(steps: Sequence[StepRecord]) -> str:
    """Write how far the steps got."""
    return json_ascii([_step(step) for step in steps])


def read_steps(text: str, plan: Sequence[StepPlan]) -> tuple[StepRecord, ...]:
    """Read how far the steps got: one for each planned one, those that were not begun included."""
    if text == "[]":  # nothing is begun, as is usual
        return tuple(StepRecord(step.name) for step in plan)
    known = {step["name"]: step for step in json.loads(text)}
    return tuple(_read_step(known[step.name]) if step.name in known else StepRecord(step.name) for step in plan)


def _step(step: StepRecord) -> dict[str, Any]:
    told = {
        "name": step.name,
        "status": step.status.value,
        "error_message": step.error_message,
        "code": step.code,
        "tries": step.tries or None,
        "first_tried": step.first_tried,
        "key": step.key,
    }
    shown = {name: value for name, value in told.items() if value is not None}
    return {**shown, "output": step.output} if step.output is not None else shown


def _read_step(told: Mapping[str, Any]) -> StepRecord:
    return StepRecord(
        told["name"],
        StepStatus(told["status"]),
        told.get("output"),
        told.get("error_message"),
        told.get("code"),
        told.get("tries", 0),
        told.get("first_tried"),
        told.get("key"),
    )


def job(row: Any, *, whole: bool) -> Job:
    """Read a row of either table; `whole`: with payload, steps and executions."""
    plan = read_plan(row["plan"]) if whole else ()
    return Job(
        id=JobId(str(row["id"])),
        flow=row["flow"],
        connector_name=row["connector_name"],
        status=JobStatus(row["status"]),
        attempt=row["attempt"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        event_id=EventId(str(row["event_id"])) if row["event_id"] else None,
        traceparent=row["traceparent"],
        due_at=row["due_at"] if row["status"] == JobStatus.RETRYING else None,
        error_message=row["error_message"],
        fingerprint=row["fingerprint"],
        result=None if row["result"] is None else json.loads(row["result"]),
        payload=json.loads(row["payload"]) if whole and row["payload"] is not None else None,
        steps=read_steps(row["steps"], plan) if whole else (),
        executions=_executions(row) if whole else (),
        run=row["run"],
    )


def _executions(row: Any) -> tuple[Execution, ...]:
    ended = [_read_execution(json.loads(text)) for text in row["executions"]]
    if row["claimed_at"] is not None:
        ended.append(Execution(row["attempt"], ExecutionStatus.RUNNING, row["claimed_at"]))
    return tuple(ended[-MOST_EXECUTIONS_KEPT:])


def _read_execution(told: Mapping[str, Any]) -> Execution:
    return Execution(
        told["attempt"],
        ExecutionStatus(told["status"]),
        datetime.fromisoformat(told["started_at"]),
        datetime.fromisoformat(told["finished_at"]),
        told.get("output"),
        told.get("error_message"),
    )
