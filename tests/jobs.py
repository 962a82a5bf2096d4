"""Jobs as tests make them, and what their workers say of them."""

import time
from itertools import count
from typing import Any

from app.core.domain.ids import job_id
from app.core.domain.job import ExecutionStatus, Move, NewJob
from app.core.domain.retry import Backoff, RetryPolicy
from app.core.domain.step import StepPlan, StepRecord, StepStatus
from app.core.ports.job_claims import ClaimedJob, Settlement

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OWN_RETRY = RetryPolicy(Backoff(delays_seconds=(1.0, 2.5)), {}, 60.0, 30.0)
STEPS = (
    StepPlan("first", "crm", "post", {"path": "/ü", "n": 10**30}, OWN_RETRY),
    StepPlan("second", "echo", "echo"),
)
EXECUTIONS = {
    Move.COMPLETE: ExecutionStatus.COMPLETED,
    Move.POSTPONE: ExecutionStatus.FAILED,
    Move.FAIL: ExecutionStatus.FAILED,
    Move.PARK: ExecutionStatus.PARKED,
    Move.RETURN: ExecutionStatus.RETURNED,
}
_numbers = count()
_START = time.time_ns()


def a_job(**fields: Any) -> NewJob:
    """A job of two steps; each is younger than those before."""
    values = {
        "id": job_id(_START + next(_numbers) * 1_000_000),
        "connector_name": "crm",
        "steps": STEPS,
        "payload": '{"a":1}',
        "traceparent": TRACEPARENT,
    }
    return NewJob(**{**values, **fields})


def done(name: str, output: Any = None) -> StepRecord:
    """A step that is done."""
    return StepRecord(name, StepStatus.COMPLETED, output, tries=1, first_tried=1.5, key="0123")


def settlement(job: ClaimedJob, move: Move, **fields: Any) -> Settlement:
    """What a worker says at the end of an execution."""
    values = {"steps": job.steps, **fields}
    return Settlement(job.id, job.token, job.attempt, move, EXECUTIONS[move], **values)
