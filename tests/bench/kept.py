"""Intake on a database in which millions of events are kept, beside intake on an empty one.

`python -m tests.bench --kept 5000000` fills the tables by SQL (some 2 KB of disk an event) and then measures both in
turns.
"""

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx

from app.core.domain.ids import first_event_id
from tests.bench import rounds
from tests.bench.figures import Bound, Line, cpu, over, own, p50, p99, per_cpu_second, per_second
from tests.bench.load import BODY, PATH, SECRET
from tests.bench.machinery import Machinery
from tests.bench.opsconnect import OpsConnect
from tests.bench.rounds import USUAL, Course, Protocol, Result
from tests.e2e.sender import signed

EMPTY, FULL = "empty", "full"
BYTES_AN_EVENT = 2_000
SPARE_BYTES = 2_000_000_000
ROWS_A_STATEMENT = 100_000

# Rows like that of a real webhook, received evenly over the last two days: ids that sort by their time, keys that look
# random, each row in the partition where it belongs. Their events have been planned, so the inbox has none of them.
FILL = """
WITH template AS (
    SELECT * FROM events WHERE delivery_id = 'template'
), made AS MATERIALIZED (
    SELECT n, received_at,
           (lpad(to_hex((extract(epoch FROM received_at) * 1000)::bigint), 12, '0')
            || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid AS id,
           sha256(convert_to('kept' || n, 'UTF8')) AS digest
    FROM (SELECT n, now() - interval '2 days' * (1 - n / {events}::float) AS received_at
          FROM generate_series({first}, {last}) AS n) AS moments
), kept AS (
    INSERT INTO events (id, source, provider, type, received_at, delivery_id, digest, content_type, verification,
                        traceparent, headers, body)
    SELECT made.id, source, provider, type, made.received_at, 'kept-' || n, made.digest, content_type, verification,
           traceparent, headers, body
    FROM made, template
)
INSERT INTO delivery_keys (event_id, digest, received_at, key)
SELECT id, digest, received_at,
       sha256(convert_to('bench', 'UTF8') || '\\x00'::bytea || convert_to('kept-' || n, 'UTF8'))
FROM made
"""

LINES = (
    Line("64 connections", "requests/s", ",.0f", own(USUAL, per_second)),
    Line("64 connections", "÷ empty", ".3f", over(EMPTY, USUAL, per_second), {FULL: Bound(0.90)}),
    Line("64 connections", "÷ empty by CPU", ".3f", over(EMPTY, USUAL, per_cpu_second)),
    Line("64 connections", "p50 ms", ".2f", own(USUAL, p50)),
    Line("64 connections", "p99 ms", ".2f", own(USUAL, p99)),
    Line("64 connections", "application µs", ".1f", cpu(lambda one: one.application)),
    Line("64 connections", "Postgres µs", ".1f", cpu(lambda one: one.postgres)),
)


class Full(OpsConnect):
    """A database that nobody empties: each round is counted from where it began."""

    def __init__(self, machinery: Machinery, folder: Path, events: int, tell: Callable[[str], None]) -> None:
        super().__init__(FULL, machinery.servers, folder, machinery.sink)
        self._began = time.time()
        self._fill(events, tell)

    def _fill(self, events: int, tell: Callable[[str], None]) -> None:
        headers = {"X-Signature": signed(SECRET, BODY), "X-Delivery-Id": "template", "Content-Type": "application/json"}
        assert httpx.post(f"http://127.0.0.1:{self.port}{PATH}", content=BODY, headers=headers).status_code == 202
        self.database.run("SELECT opsconnect_make_event_days(current_date - 2, 3)")
        for first in range(1, events + 1, ROWS_A_STATEMENT):
            tell(f"kept · {first - 1:,} of {events:,} events")
            last = min(first + ROWS_A_STATEMENT - 1, events)
            self.database.run(FILL.format(events=events, first=first, last=last))
        tell("kept · vacuum")
        self.database.run("VACUUM (ANALYZE) events", "VACUUM (ANALYZE) delivery_keys", "CHECKPOINT")

    def empty(self) -> None:
        """Only mark the moment, let the planner's work be done, and checkpoint."""
        self.begin_log()
        self.database.run("TRUNCATE inbox", "CHECKPOINT")
        self._began = time.time()

    def rows(self) -> tuple[int, ...]:
        """Count what came since."""
        return self.database.row(
            "SELECT (SELECT count(*) FROM events WHERE id >= $1::uuid),"
            " (SELECT count(*) FROM delivery_keys WHERE received_at >= $2), (SELECT count(*) FROM inbox)",
            first_event_id(int(self._began * 1000)),
            datetime.fromtimestamp(self._began, UTC),
        )


def measure(
    machinery: Machinery, folder: Path, events: int, protocol: Protocol, tell: Callable[[str], None]
) -> dict[str, Result]:
    """Fill one database, and let it take turns with an empty one."""
    needed = events * BYTES_AN_EVENT + SPARE_BYTES
    if shutil.disk_usage(folder).free < needed:
        gigabytes = f"{needed / 1e9:.0f} GB"
        raise SystemExit(f"{events:,} events need {gigabytes} of disk in {folder}; TMPDIR names another folder")
    with ExitStack() as stack:
        empty = OpsConnect(EMPTY, machinery.servers, folder, machinery.sink)
        stack.callback(empty.stop)
        full = Full(machinery, folder, events, tell)
        stack.callback(full.stop)
        courses = (Course(USUAL, protocol.seconds),)
        return rounds.run((empty, full), machinery, protocol, courses, tell)
