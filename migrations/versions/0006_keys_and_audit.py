"""API keys, and the audit log: what operators did, which nobody changes afterwards."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

API_KEYS = """
CREATE TABLE api_keys (
    id           uuid        PRIMARY KEY,
    name         text        NOT NULL UNIQUE,
    prefix       text        NOT NULL,
    digest       bytea       NOT NULL UNIQUE,
    scope        text        NOT NULL CHECK (scope IN ('read', 'operate', 'admin')),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
)
"""

# Not an identity, which leaves gaps where a transaction was undone: the place is one more than that before, and a
# missing one is missing.
AUDIT_LOG = """
CREATE TABLE audit_log (
    seq      bigint      PRIMARY KEY,
    at       timestamptz NOT NULL,
    actor    text        NOT NULL,
    action   text        NOT NULL,
    target   text        NOT NULL,
    details  json        NOT NULL,
    trace_id text,
    hash     bytea       NOT NULL
)
"""

# For statements, so that a TRUNCATE or one that meets no row is refused as well. The owner can take the trigger away,
# and a superuser can do anything; the chain of hashes shows what they changed.
REFUSE = """
CREATE FUNCTION opsconnect_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$
"""
TRIGGER = """
CREATE TRIGGER audit_log_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION opsconnect_refuse_change()
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in (API_KEYS, AUDIT_LOG, REFUSE, TRIGGER):
        op.execute(statement)


def downgrade() -> None:
    """Remove them: every key is void, and what was done is forgotten."""
    op.execute("DROP TABLE audit_log")
    op.execute("DROP FUNCTION opsconnect_refuse_change()")
    op.execute("DROP TABLE api_keys")
