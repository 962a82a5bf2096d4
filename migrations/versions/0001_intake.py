"""Intake: events, delivery keys, the inbox, states, conflicts and sources."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY_PARTITIONS = 8

TABLES = """
-- Insert-only. The id is a uuid of version 7, so days are ranges of ids and a lookup by id touches one partition.
CREATE TABLE events (
    id           uuid        NOT NULL,
    source       text        NOT NULL,
    provider     text        NOT NULL,
    type         text,
    received_at  timestamptz NOT NULL,
    delivery_id  text        NOT NULL,
    digest       bytea       NOT NULL,
    content_type text,
    verification text        NOT NULL,
    traceparent  text        NOT NULL,
    headers      json        NOT NULL,
    body         bytea       NOT NULL,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX events_source_id_idx ON events (source, id);

-- What changes about an event. No row means: received, and never repeated.
CREATE TABLE event_states (
    event_id   uuid        NOT NULL,
    state      text        NOT NULL DEFAULT 'received'
               CHECK (state IN ('received', 'processed', 'discarded', 'dead', 'quarantined')),
    reason     text,
    duplicates integer     NOT NULL DEFAULT 0,
    conflicts  integer     NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id)
) PARTITION BY RANGE (event_id);
CREATE INDEX event_states_state_event_id_idx ON event_states (state, event_id) WHERE state <> 'received';

-- The judge of duplicates. A table of its own, because a unique key on events would have to hold their id.
CREATE TABLE delivery_keys (
    key         bytea       NOT NULL,
    event_id    uuid        NOT NULL,
    digest      bytea       NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (key)
) PARTITION BY HASH (key);
-- Keys come in the order of time, so a few pages of summary are enough to find the old ones.
CREATE INDEX delivery_keys_received_at_idx ON delivery_keys USING brin (received_at) WITH (autosummarize = on);

-- Events that nobody has planned yet, in the order in which they were kept.
CREATE TABLE inbox (
    seq      bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    event_id uuid NOT NULL,
    source   text NOT NULL
);

-- Other bytes that came under a key that was taken.
CREATE TABLE conflicts (
    event_id     uuid        NOT NULL,
    digest       bytea       NOT NULL,
    received_at  timestamptz NOT NULL,
    content_type text,
    headers      json        NOT NULL,
    body         bytea       NOT NULL,
    PRIMARY KEY (event_id, digest)
);

CREATE TABLE sources (
    name       text        PRIMARY KEY,
    version    integer     NOT NULL DEFAULT 1,
    spec       json        NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
"""

# Owned by the role that migrates, so that the role that serves needs no right to change the schema. CREATE, then
# ATTACH: the parent is only locked against other changes of the schema, never against inserts.
MAKE_DAYS = """
CREATE FUNCTION opsconnect_make_event_days(first_day date, days integer) RETURNS integer
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
        FOREACH parent IN ARRAY ARRAY['events', 'event_states'] LOOP
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

FIRST_ID = """
CREATE FUNCTION opsconnect_first_id(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$
"""


def upgrade() -> None:
    """Make everything that intake needs, with the partitions of the first days."""
    for statement in TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)
    for number in range(KEY_PARTITIONS):
        op.execute(
            f"CREATE TABLE delivery_keys_{number} PARTITION OF delivery_keys "
            f"FOR VALUES WITH (MODULUS {KEY_PARTITIONS}, REMAINDER {number})"
        )
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(FIRST_ID)
    op.execute(MAKE_DAYS.format(schema=schema))
    op.execute("SELECT opsconnect_make_event_days(current_date - 1, 9)")


def downgrade() -> None:
    """Remove all of it, events included."""
    op.execute("DROP FUNCTION opsconnect_make_event_days(date, integer)")
    op.execute("DROP FUNCTION opsconnect_first_id(date)")
    for table in ("sources", "conflicts", "inbox", "delivery_keys", "event_states", "events"):
        op.execute(f"DROP TABLE {table}")
