"""What must hold of jobs after every fault: the store against the sink's own book."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.core.domain.step import idempotency_key
from tests.e2e.conftest import rows
from tests.e2e.sender import Sent
from tests.e2e.sink import Hit

CLOCK_SECONDS = 0.005
"""What Postgres and Python may differ by on one machine."""
_NUMBER = re.compile(r'"hit": ?(\d+)')


async def states(url: str) -> dict[str, int]:
    """How many events are in which state."""
    query = """
        SELECT coalesce(s.state, 'received') AS state, count(*)
        FROM events e LEFT JOIN event_states s ON s.event_id = e.id GROUP BY 1
    """
    return {row["state"]: row["count"] for row in await rows(url, query)}


async def assert_effects(url: str, work: Sequence[Sent], hits: Sequence[Hit]) -> dict[str, int]:
    """Every event processed by one job, each effect under one key, no more hits than executions, none of them stale.

    Gives how often executions ended in which way.
    """
    count = len(work)
    assert await states(url) == {"processed": count}
    assert await rows(url, "SELECT id FROM open_jobs") == []
    jobs = await rows(url, "SELECT * FROM finished_jobs")
    assert len(jobs) == len({job["event_id"] for job in jobs}) == count
    bodies = {str(row["id"]): bytes(row["body"]) for row in await rows(url, "SELECT id, body FROM events")}
    by_key: dict[str, list[Hit]] = defaultdict(list)
    for hit in hits:
        by_key[hit.key].append(hit)
    endings: dict[str, int] = defaultdict(int)
    for job in jobs:
        event_id = str(job["event_id"])
        key = idempotency_key(event_id, job["connector_name"], "post", 1)
        of_job = by_key.pop(key)
        executions = [json.loads(text) for text in job["executions"]]
        told = (event_id, executions, of_job)
        assert {json.dumps(json.loads(hit.body)) for hit in of_job} == {json.dumps(json.loads(bodies[event_id]))}, told
        assert len(of_job) <= len(executions) <= job["attempt"], told
        attempts = [execution["attempt"] for execution in executions]
        assert attempts == sorted(set(attempts)), told
        ends = [execution["status"] for execution in executions]
        assert ends.count("completed") == 1, told
        assert ends[-1] == "completed", told
        for execution in executions:
            assert _is_its_own(execution, of_job), told
            endings[execution["status"]] += 1
    assert not by_key, f"keys that belong to no event: {list(by_key)[:3]}"
    return dict(endings)


def _is_its_own(execution: dict[str, Any], hits: Sequence[Hit]) -> bool:
    """Whether what an execution recorded came of a request that was sent while it had the job.

    What a worker writes late, after another has the job, tells of a request before that.
    """
    told = json.dumps(execution["output"]) + (execution["error_message"] or "").replace("\\", "")
    numbers = [int(number) for number in _NUMBER.findall(told)]
    began, ended = (datetime.fromisoformat(execution[name]).timestamp() for name in ("started_at", "finished_at"))
    at = [hit.at for hit in hits if hit.number in numbers]
    return len(at) == len(numbers) and all(began - CLOCK_SECONDS <= moment <= ended + CLOCK_SECONDS for moment in at)
