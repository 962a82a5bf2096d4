"""Ending executions in Postgres: in one transaction jobs move, and their events with the last of them."""

from collections.abc import Sequence
from typing import Any

from app.adapters.postgres.connections import Session
from app.adapters.postgres.job_rows import MOST_EXECUTIONS_KEPT, written_steps
from app.core.domain.ids import JobId
from app.core.domain.job import FINISHED, TRANSITIONS, JobStatus
from app.core.domain.json_text import json_ascii
from app.core.ports.job_claims import Settlement

# What both tables hold, in their order.
COLUMNS = (
    "id, status, flow, connector_name, event_id, run, attempt, created_at, updated_at, traceparent, last_traceparent, "
    "plan, payload, steps, result, executions, error_message, fingerprint"
)

_ENDED = f"""
(j.executions || json_build_object(
    'attempt', j.attempt, 'status', t.execution, 'started_at', j.claimed_at, 'finished_at', now(),
    'output', t.result::json, 'error_message', t.error_message)::text)
[greatest(1, cardinality(j.executions) + 2 - {MOST_EXECUTIONS_KEPT}):]
"""

# A step whose output is null leaves no earlier one behind.
_RESULT = "CASE WHEN t.steps IS NULL THEN j.result ELSE t.result END"

_SETTLED = """
WITH t AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                         $9::float8[], $10::text[])
    AS t(id, token, status, execution, steps, result, error_message, fingerprint, delay, traceparent)
)
"""

POSTPONE = f"""
{_SETTLED}
UPDATE open_jobs j
SET status = t.status, due_at = now() + make_interval(secs => t.delay), token = NULL, worker = NULL, claimed_at = NULL,
    steps = coalesce(t.steps, j.steps), result = {_RESULT}, error_message = t.error_message,
    last_traceparent = coalesce(t.traceparent, j.last_traceparent), losses = 0, updated_at = now(),
    executions = {_ENDED}
FROM t WHERE j.id = ANY($1::uuid[]) AND j.id = t.id AND j.token = t.token
RETURNING j.id
"""  # noqa: S608 (of our own constants)

FINISH = f"""
{_SETTLED}, gone AS (
    DELETE FROM open_jobs j USING t WHERE j.id = ANY($1::uuid[]) AND j.id = t.id AND j.token = t.token
    RETURNING j.id, t.status, j.flow, j.connector_name, j.event_id, j.run, j.attempt, j.created_at, now() AS updated_at,
              j.traceparent, coalesce(t.traceparent, j.last_traceparent) AS last_traceparent, j.plan, j.payload,
              coalesce(t.steps, j.steps) AS steps, {_RESULT} AS result, {_ENDED} AS executions,
              t.error_message, t.fingerprint
), kept AS (
    INSERT INTO finished_jobs ({COLUMNS}) SELECT {COLUMNS} FROM gone
)
SELECT id, status, event_id FROM gone
"""  # noqa: S608

# In the transaction of what finished them.
COUNT_FINISHED = """
UPDATE event_states e
SET jobs_open = e.jobs_open - t.finished, jobs_completed = e.jobs_completed + t.completed,
    jobs_dead = e.jobs_dead + t.dead, updated_at = now(),
    state = CASE WHEN e.jobs_open > t.finished THEN e.state
                 WHEN e.jobs_dead + t.dead > 0 THEN 'dead'
                 WHEN e.jobs_completed + t.completed > 0 THEN 'processed'
                 ELSE 'discarded' END
FROM unnest($1::uuid[], $2::int[], $3::int[], $4::int[]) AS t(event_id, finished, completed, dead)
WHERE e.event_id = t.event_id
"""


async def settle(session: Session, settlements: Sequence[Settlement]) -> set[JobId]:
    """Write settlements; give the jobs that were still their workers'."""
    finished: list[tuple[object, ...]] = []
    others: list[tuple[object, ...]] = []
    for one in settlements:
        status = TRANSITIONS[JobStatus.IN_PROGRESS, one.move]
        row = (
            one.job_id,
            one.token,
            status.value,
            one.execution.value,
            None if one.steps is None else written_steps(one.steps),
            None if one.result is None else json_ascii(one.result),
            one.error_message,
            one.fingerprint,
            one.delay_seconds,
            one.traceparent,
        )
        (finished if status in FINISHED else others).append(row)
    settled: set[JobId] = set()
    if others:
        settled |= await settle_rows(session, POSTPONE, others)
    if finished:
        settled |= await settle_rows(session, FINISH, finished)
    return settled


async def settle_rows(session: Session, statement: str, rows: Sequence[Sequence[object]]) -> set[JobId]:
    """Write rows of what `_SETTLED` has, by POSTPONE or FINISH; give the jobs that it found."""
    settled = await session.fetch(statement, *map(list, zip(*rows, strict=True)))
    if statement is FINISH:
        await count_finished(session, [(row["event_id"], JobStatus(row["status"])) for row in settled])
    return {JobId(str(row["id"])) for row in settled}


async def count_finished(session: Session, finished: Sequence[tuple[Any, JobStatus]]) -> None:
    """Count jobs that are finished now at their events; the last one settles the event's state."""
    counts: dict[Any, list[int]] = {}
    for event_id, status in finished:
        if event_id is not None:
            count = counts.setdefault(event_id, [0, 0, 0])
            count[0] += 1
            count[1] += status is JobStatus.COMPLETED
            count[2] += status is JobStatus.ERROR
    if counts:
        ids = sorted(counts)
        await session.execute(
            COUNT_FINISHED, ids, *([counts[event_id][place] for event_id in ids] for place in range(3))
        )
