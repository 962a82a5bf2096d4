"""Claiming and settling jobs in Postgres: each a statement for a whole batch, so one fsync for all of it.

A claim names its jobs with SKIP LOCKED, so that workers pass each other by. Every later write joins on the token, which
the claim made and a rescue takes away: of a job that somebody else has by now, it finds no row. Two batches
that finish jobs of the same events may meet crosswise at the events' rows; then one of them is written again.
"""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any
from uuid import uuid4

from app.adapters.postgres.connections import Connections, Session
from app.adapters.postgres.job_rows import read_plan, read_steps, written_steps
from app.adapters.postgres.job_settling import FINISH, POSTPONE, settle, settle_rows
from app.core.domain.errors import RowBlocked, RowFault, Unavailable
from app.core.domain.ids import EventId, JobId
from app.core.domain.job import ExecutionStatus, JobStatus
from app.core.domain.json_text import json_ascii
from app.core.ports.job_claims import (
    MOST_LOSSES,
    SUSPECT_AFTER,
    ClaimedJob,
    JobClaims,
    Progress,
    Rescued,
    Settlement,
)

LOST_FINGERPRINT = "worker_lost"
TURNS = 3

# What is left of the half of those that are tried again goes to fresh ones, and what these leave goes to the others.
# The bodies are fetched by the claim itself; a job whose event is gone gets none, and ends by that.
CLAIM = """
WITH late AS (
    SELECT id FROM open_jobs WHERE status = 'retrying' AND due_at <= now() AND {which}
    ORDER BY due_at LIMIT $4::int FOR UPDATE SKIP LOCKED
), fresh AS (
    SELECT id FROM open_jobs WHERE status = 'pending' AND {which}
    ORDER BY id LIMIT $2 - (SELECT count(*) FROM late) FOR UPDATE SKIP LOCKED
), more AS (
    SELECT id FROM open_jobs
    WHERE status = 'retrying' AND due_at <= now() AND {which} AND id NOT IN (SELECT id FROM late)
    ORDER BY due_at LIMIT $2 - (SELECT count(*) FROM late) - (SELECT count(*) FROM fresh) FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE open_jobs j
    SET status = 'in_progress', attempt = attempt + 1, worker = $1, token = $3, claimed_at = now(), updated_at = now()
    WHERE j.id = ANY(ARRAY(SELECT id FROM late UNION ALL SELECT id FROM fresh UNION ALL SELECT id FROM more))
      AND EXISTS (SELECT FROM workers WHERE id = $1 AND lease_until > now())
    RETURNING id, attempt, run, losses, flow, connector_name, plan, steps, payload, event_id, traceparent,
              last_traceparent, due_at
)
SELECT c.*, extract(epoch FROM now() - c.due_at)::float8 AS waited, e.type AS event_type, e.body, e.content_type
FROM claimed c
LEFT JOIN LATERAL (SELECT type, body, content_type FROM events WHERE id = c.event_id LIMIT 1) AS e ON true
ORDER BY c.id
"""
USUAL = CLAIM.format(which=f"losses < {SUSPECT_AFTER}")
SUSPECTS = CLAIM.format(which=f"losses >= {SUSPECT_AFTER}")

# A claim whose answer was lost: nobody works on what it took, and its worker may live on and on.
TAKE_BACK = """
UPDATE open_jobs SET status = 'pending', token = NULL, worker = NULL, claimed_at = NULL, updated_at = now()
WHERE status = 'in_progress' AND worker = $1 AND token = ANY($2::uuid[])
"""
DOUBTED_SECONDS = 60.0
"""A statement that nobody waits for any more has ended by then, one way or the other."""

RECORD = """
UPDATE open_jobs j SET steps = t.steps, result = t.result, updated_at = now()
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS t(id, token, steps, result)
WHERE j.id = ANY($1::uuid[]) AND j.id = t.id AND j.token = t.token
RETURNING j.id
"""

# Whoever is gone is taken away first: the lock on its row keeps two rescues from one worker's jobs.
LOST = """
WITH dead AS (
    DELETE FROM workers WHERE lease_until <= now() RETURNING id
), lost AS (
    SELECT j.id, j.token, j.losses + 1 AS losses FROM open_jobs j
    WHERE j.status = 'in_progress'
      AND (j.worker IN (SELECT id FROM dead) OR NOT EXISTS (SELECT FROM workers w WHERE w.id = j.worker))
    ORDER BY j.id FOR UPDATE OF j SKIP LOCKED
)
SELECT (SELECT count(*) FROM dead) AS workers, id, token, losses FROM lost
UNION ALL SELECT (SELECT count(*) FROM dead), NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM lost)
"""
SUSPECTS_DUE = f"""
SELECT count(*) FROM open_jobs
WHERE losses >= {SUSPECT_AFTER} AND (status = 'pending' OR status = 'retrying' AND due_at <= now())
"""  # noqa: S608
RETRY_LOST = """
UPDATE open_jobs SET losses = t.losses FROM unnest($1::uuid[], $2::int[]) AS t(id, losses) WHERE open_jobs.id = t.id
"""


class PostgresJobClaims(JobClaims):
    """The open jobs of one database."""

    def __init__(self, connections: Connections, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._connections = connections
        self._clock = clock
        self._odd_ones = {False: False, True: False}
        self._doubtful: dict[str, tuple[str, float]] = {}

    async def claim(self, worker: str, most: int, *, suspect: bool = False) -> Sequence[ClaimedJob]:
        """Claim by one statement, after taking back what a claim took whose answer never came."""
        token = str(uuid4())
        try:
            async with self._connections.session() as session:
                await self._take_back(session)
                rows = await session.fetch(
                    SUSPECTS if suspect else USUAL, worker, most, token, self._half(most, suspect=suspect)
                )
        except RowFault as error:
            raise Unavailable(str(error)) from error
        except BaseException as error:
            if not isinstance(error, Unavailable):
                self._doubtful[token] = worker, self._clock() + DOUBTED_SECONDS
            raise
        return [_claimed(row, token) for row in rows]

    def _half(self, most: int, *, suspect: bool) -> int:
        """Give the share of those that are tried again; of an odd number, one kind has the larger one in turn."""
        if most % 2:
            self._odd_ones[suspect] = not self._odd_ones[suspect]
        return (most + self._odd_ones[suspect]) // 2

    async def _take_back(self, session: Session) -> None:
        for token, (worker, until) in list(self._doubtful.items()):
            taken = await session.execute(TAKE_BACK, worker, [token])
            if taken != "UPDATE 0" or self._clock() > until:
                del self._doubtful[token]

    async def record(self, progress: Sequence[Progress]) -> Collection[JobId]:
        """Write by one statement."""
        columns = (
            [one.job_id for one in progress],
            [one.token for one in progress],
            [written_steps(one.steps) for one in progress],
            [None if one.result is None else json_ascii(one.result) for one in progress],
        )
        try:
            async with self._connections.session() as session:
                rows = await session.fetch(RECORD, *columns)
        except RowBlocked as error:
            raise Unavailable(str(error)) from error
        return {JobId(str(row["id"])) for row in rows}

    async def settle(self, settlements: Sequence[Settlement]) -> Collection[JobId]:
        """Write by one transaction; again, when it met another one crosswise."""
        for turn in range(TURNS):
            try:
                async with self._connections.session() as session, session.transaction():
                    return await settle(session, settlements)
            except RowBlocked as error:
                if turn == TURNS - 1:
                    raise Unavailable(str(error)) from error
        return set()

    async def rescue(self) -> Rescued:
        """Find and settle what was lost, in one transaction."""
        try:
            async with self._connections.session() as session, session.transaction():
                rows = await session.fetch(LOST)
                lost = [row for row in rows if row["id"] is not None]
                dead = [row for row in lost if row["losses"] >= MOST_LOSSES]
                others = [row for row in lost if row["losses"] < MOST_LOSSES]
                if dead:
                    await settle_rows(session, FINISH, [_lost(row, JobStatus.ERROR) for row in dead])
                if others:
                    await settle_rows(session, POSTPONE, [_lost(row, JobStatus.RETRYING) for row in others])
                    await session.execute(RETRY_LOST, [row["id"] for row in others], [row["losses"] for row in others])
                suspects = await session.fetchval(SUSPECTS_DUE)
        except RowFault as error:
            raise Unavailable(str(error)) from error
        return Rescued(rows[0]["workers"], len(others), len(dead), suspects)


def _claimed(row: Any, token: str) -> ClaimedJob:
    plan = read_plan(row["plan"])
    return ClaimedJob(
        id=JobId(str(row["id"])),
        token=token,
        attempt=row["attempt"],
        run=row["run"],
        losses=row["losses"],
        flow=row["flow"],
        connector_name=row["connector_name"],
        plan=plan,
        steps=read_steps(row["steps"], plan),
        payload=row["payload"],
        event_id=EventId(str(row["event_id"])) if row["event_id"] else None,
        event_type=row["event_type"],
        body=row["body"],
        content_type=row["content_type"],
        traceparent=row["traceparent"],
        previous_traceparent=row["last_traceparent"],
        waited_seconds=max(row["waited"], 0.0),
    )


def _lost(row: Any, status: JobStatus) -> tuple[object, ...]:
    """Make the settlement of a job whose worker is gone; how far it got stays as it was recorded."""
    message = f"its worker ended, froze or was cut off while it had this job: loss {row['losses']} of {MOST_LOSSES}"
    fingerprint = LOST_FINGERPRINT if status is JobStatus.ERROR else None
    return (
        *(row["id"], row["token"], status.value, ExecutionStatus.LOST.value),
        *(None, None, message, fingerprint, 0.0, None),
    )
