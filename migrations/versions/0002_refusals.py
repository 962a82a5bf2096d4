"""Refusals: requests that were not accepted, kept within bounds."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Ten thousand rows at most, so the primary key alone is index enough. No partitions: what goes is what is beyond a
# bound, and that is no matter of days.
REFUSALS = """
CREATE TABLE refusals (
    id          uuid        PRIMARY KEY,
    received_at timestamptz NOT NULL,
    source      text        NOT NULL,
    provider    text        NOT NULL,
    code        text        NOT NULL,
    detail      text        NOT NULL,
    method      text        NOT NULL,
    url         text        NOT NULL,
    client      text        NOT NULL,
    traceparent text        NOT NULL,
    lead        boolean     NOT NULL,
    headers     json        NOT NULL,
    body        bytea,
    digest      bytea,
    weight      integer     NOT NULL,
    event_id    uuid
)
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(REFUSALS)


def downgrade() -> None:
    """Remove it, with what is in it."""
    op.execute("DROP TABLE refusals")
