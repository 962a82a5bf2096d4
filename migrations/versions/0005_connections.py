"""Connections: how outside systems are reached."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CONNECTIONS = """
CREATE TABLE connections (
    name       text        PRIMARY KEY,
    version    integer     NOT NULL DEFAULT 1,
    spec       json        NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
)
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(CONNECTIONS)


def downgrade() -> None:
    """Remove it. Sources that run a connection keep saying so, and an older version passes over that."""
    op.execute("DROP TABLE connections")
