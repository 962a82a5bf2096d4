"""Body digests: how the same bytes under another id are noticed, and the place on an event that says so."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DIGEST_PARTITIONS = 8

TABLES = """
-- Which event brought a body first to its source. Only of sources whose senders' ids are not signed.
CREATE TABLE body_digests (
    key         bytea       NOT NULL,
    event_id    uuid        NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (key)
) PARTITION BY HASH (key);
CREATE INDEX body_digests_received_at_idx ON body_digests USING brin (received_at) WITH (autosummarize = on);

-- How far the watch for replays has looked through the events, in the order of their ids.
CREATE TABLE replay_looks (
    name     text PRIMARY KEY,
    position uuid NOT NULL
);
INSERT INTO replay_looks SELECT name, opsconnect_first_id((now() AT TIME ZONE 'UTC')::date)
FROM unnest(ARRAY['first', 'second']) AS name
"""

# Every append has the states in its statement, and whoever waits for this lock makes all of them wait. So it is waited
# for in short turns, shorter than intake's patience (OPSCONNECT_POSTGRES_LOCK_SECONDS), and had for a moment.
ADD_COLUMN = """
DO $$
BEGIN
    PERFORM set_config('lock_timeout', '250ms', true);
    FOR turn IN 1..100 LOOP
        BEGIN
            ALTER TABLE event_states ADD COLUMN replay_of uuid;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.25);
        END;
    END LOOP;
    RAISE EXCEPTION 'somebody holds a lock on event_states for long: see pg_stat_activity, then migrate again';
END $$
"""


def upgrade() -> None:
    """Make the tables, and the column last of all."""
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    for number in range(DIGEST_PARTITIONS):
        op.execute(
            f"CREATE TABLE body_digests_{number} PARTITION OF body_digests "
            f"FOR VALUES WITH (MODULUS {DIGEST_PARTITIONS}, REMAINDER {number})"
        )
    op.execute(ADD_COLUMN)


def downgrade() -> None:
    """Remove them, with what was noticed."""
    op.execute("ALTER TABLE event_states DROP COLUMN replay_of")
    op.execute("DROP TABLE body_digests")
    op.execute("DROP TABLE replay_looks")
