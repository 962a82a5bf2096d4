"""No index of times on delivery keys and body digests: each one kept paid for it, and forgetting does without."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = ("body_digests", "delivery_keys")

# Every append has the keys in its statement, and whoever waits for this lock makes all of them wait. So it is waited
# for in short turns, shorter than intake's patience (OPSCONNECT_POSTGRES_LOCK_SECONDS), and had for a moment.
DROP_INDEX = """
DO $$
BEGIN
    PERFORM set_config('lock_timeout', '250ms', true);
    FOR turn IN 1..100 LOOP
        BEGIN
            DROP INDEX {table}_received_at_idx;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.25);
        END;
    END LOOP;
    RAISE EXCEPTION 'somebody holds a lock on {table} for long: see pg_stat_activity, then migrate again';
END $$
"""


def upgrade() -> None:
    """Remove them, that of the keys last of all."""
    for table in TABLES:
        op.execute(DROP_INDEX.format(table=table))


def downgrade() -> None:
    """Make them again; nothing is kept meanwhile."""
    for table in TABLES:
        op.execute(
            f"CREATE INDEX {table}_received_at_idx ON {table} USING brin (received_at) WITH (autosummarize = on)"
        )
