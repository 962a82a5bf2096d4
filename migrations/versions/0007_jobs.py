"""Jobs: open ones in a small table, finished ones by the day; workers; and what an event's state is counted from."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# The columns that a job keeps from its making to its end. `plan`, `steps`, `payload` and `result` are JSON that we
# wrote as ASCII text: the type json would be read again at each write, and jsonb refuses texts and rewrites numbers.
COMMON = """
    id               uuid        NOT NULL,
    status           text        NOT NULL,
    flow             text,
    connector_name   text        NOT NULL,
    event_id         uuid,
    run              integer     NOT NULL DEFAULT 1,
    attempt          integer     NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    traceparent      text        NOT NULL,
    last_traceparent text,
    plan             text        NOT NULL,
    payload          text,
    steps            text        NOT NULL DEFAULT '[]',
    result           text,
    executions       text[]      NOT NULL DEFAULT '{}',
    error_message    text,
    fingerprint      text
"""

# Rows come and go, and each is written some three times: room for new versions on the page, and vacuum after thousands
# of rows rather than after a fifth of the table, so that claiming does not wade through what is gone.
OPEN_JOBS = f"""
CREATE TABLE open_jobs (
    {COMMON},
    losses     integer     NOT NULL DEFAULT 0,
    due_at     timestamptz NOT NULL DEFAULT now(),
    claimed_at timestamptz,
    worker     uuid,
    token      uuid,
    PRIMARY KEY (id),
    CHECK (status IN ('pending', 'in_progress', 'retrying', 'waiting')),
    CHECK ((status = 'in_progress') = (token IS NOT NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000, autovacuum_vacuum_cost_delay = 0)
"""

FINISHED_JOBS = f"""
CREATE TABLE finished_jobs (
    {COMMON},
    PRIMARY KEY (id),
    CHECK (status IN ('completed', 'error', 'cancelled'))
) PARTITION BY RANGE (id)
"""

INDEXES = """
CREATE INDEX open_jobs_pending_idx ON open_jobs (id) WHERE status = 'pending';
CREATE INDEX open_jobs_retrying_idx ON open_jobs (due_at) WHERE status = 'retrying';
CREATE INDEX open_jobs_worker_idx ON open_jobs (worker) WHERE status = 'in_progress';
CREATE INDEX open_jobs_lost_idx ON open_jobs (losses) WHERE losses >= 2;
CREATE INDEX open_jobs_event_id_idx ON open_jobs (event_id);
CREATE INDEX finished_jobs_event_id_idx ON finished_jobs (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX finished_jobs_status_id_idx ON finished_jobs (status, id) WHERE status <> 'completed';
CREATE INDEX finished_jobs_connector_name_id_idx ON finished_jobs (connector_name, id);
CREATE INDEX finished_jobs_flow_id_idx ON finished_jobs (flow, id) WHERE flow IS NOT NULL
"""

WORKERS = """
CREATE TABLE workers (
    id          uuid        PRIMARY KEY,
    name        text        NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL
)
"""

# How many of an event's jobs are open, completed and dead; whoever finishes the last one sees it, since all of them
# write this one row. The lock is waited for in short turns, as in migration 0004.
COUNTS = """
DO $$
BEGIN
    PERFORM set_config('lock_timeout', '250ms', true);
    FOR turn IN 1..100 LOOP
        BEGIN
            ALTER TABLE event_states
                ADD COLUMN jobs_open integer NOT NULL DEFAULT 0,
                ADD COLUMN jobs_completed integer NOT NULL DEFAULT 0,
                ADD COLUMN jobs_dead integer NOT NULL DEFAULT 0;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.25);
        END;
    END LOOP;
    RAISE EXCEPTION 'somebody holds a lock on event_states for long: see pg_stat_activity, then migrate again';
END $$
"""

# As the first migration made it, for one more table; its name is one that running versions call.
MAKE_DAYS = """
CREATE OR REPLACE FUNCTION opsconnect_make_event_days(first_day date, days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    day date;
    parent text;
    partition text;
    made integer := 0;
BEGIN
    IF first_day < current_date - 2 OR first_day + days > current_date + 32 THEN
        RAISE EXCEPTION 'the day % is not near today: is a clock wrong?', first_day
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(7310002);
    FOR day IN SELECT first_day + n FROM generate_series(0, days - 1) AS n LOOP
        FOREACH parent IN ARRAY ARRAY[{parents}] LOOP
            partition := parent || to_char(day, '_YYYYMMDD');
            CONTINUE WHEN to_regclass(partition) IS NOT NULL;
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', partition, parent);
            EXECUTE format(
                'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                parent, partition, opsconnect_first_id(day), opsconnect_first_id(day + 1));
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END $$
"""


def upgrade() -> None:
    """Make the tables, with the partitions of the first days."""
    for statement in (OPEN_JOBS, FINISHED_JOBS, *INDEXES.split(";\n"), WORKERS):
        op.execute(statement)
    _make_days("'events', 'event_states', 'finished_jobs'")
    op.execute("SELECT opsconnect_make_event_days(current_date - 1, 9)")
    op.execute(COUNTS)


def downgrade() -> None:
    """Remove all of it, jobs included; states of events stay as they are."""
    _make_days("'events', 'event_states'")
    op.execute("ALTER TABLE event_states DROP COLUMN jobs_open, DROP COLUMN jobs_completed, DROP COLUMN jobs_dead")
    for table in ("workers", "finished_jobs", "open_jobs"):
        op.execute(f"DROP TABLE {table}")


def _make_days(parents: str) -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(MAKE_DAYS.format(schema=schema, parents=parents))
