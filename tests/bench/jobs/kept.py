"""A database in which a million finished jobs are kept: filled by SQL with rows like that of a real one."""

from collections.abc import Callable
from pathlib import Path

from tests.bench.jobs.opsconnect import OpsConnect
from tests.bench.machinery import Machinery
from tests.e2e.api import until

ROWS_A_STATEMENT = 100_000
TABLES = "events, event_states, delivery_keys, body_digests, inbox, conflicts, open_jobs"

# Finished evenly over the last two days: ids that sort by their time, each row in its day's partition.
FILL = """
WITH template AS (
    SELECT * FROM finished_jobs ORDER BY id LIMIT 1
), made AS MATERIALIZED (
    SELECT n, moment, lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7' AS head
    FROM (SELECT n, now() - interval '2 days' * (1 - n / {jobs}::float) - interval '1 minute' AS moment
          FROM generate_series({first}, {last}) AS n) AS moments
)
INSERT INTO finished_jobs (id, status, flow, connector_name, event_id, run, attempt, created_at, updated_at,
                           traceparent, last_traceparent, plan, payload, steps, result, executions)
SELECT (head || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid, status, flow, connector_name,
       (head || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid, run, attempt, moment, moment,
       traceparent, last_traceparent, plan, payload, steps, result, executions
FROM made, template
"""


class Full(OpsConnect):
    """Events run on a database that keeps its finished jobs."""

    def __init__(self, name: str, machinery: Machinery, folder: Path, jobs: int, tell: Callable[[str], None]) -> None:
        super().__init__(name, "events", machinery, folder)
        self.database.run("SELECT opsconnect_make_event_days(current_date - 2, 3)")
        self.fill(1)
        self.start()
        until(lambda: not self.left(), 60, "one finished job")
        self.stop()
        for first in range(1, jobs + 1, ROWS_A_STATEMENT):
            tell(f"kept · {first - 1:,} of {jobs:,} finished jobs")
            last = min(first + ROWS_A_STATEMENT - 1, jobs)
            self.database.run(FILL.format(jobs=jobs, first=first, last=last))
        tell("kept · vacuum")
        self.database.run("VACUUM (ANALYZE) finished_jobs", "CHECKPOINT")
        assert self.look.row("SELECT count(*) FROM finished_jobs") == (jobs + 1,)

    def _truncate(self) -> None:
        self.database.run(f"TRUNCATE {TABLES}", "CHECKPOINT")
