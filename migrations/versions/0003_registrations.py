"""Registrations: sources that expect a secret of their provider, and the sealed secrets that came."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

REGISTRATIONS = """
CREATE TABLE registrations (
    source    text        PRIMARY KEY REFERENCES sources (name) ON DELETE CASCADE,
    opened_at timestamptz NOT NULL
)
"""

# A registration is over when there is a secret with its time, and the unique key lets no second one in: whoever keeps
# secrets needs no right to change a registration. With a source go its secrets, so that a later one of the same name
# believes none of them.
REGISTERED_SECRETS = """
CREATE TABLE registered_secrets (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source    text        NOT NULL REFERENCES sources (name) ON DELETE CASCADE,
    opened_at timestamptz NOT NULL,
    kept_at   timestamptz NOT NULL DEFAULT now(),
    key_id    text        NOT NULL,
    sealed    bytea       NOT NULL,
    UNIQUE (source, opened_at)
)
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(REGISTRATIONS)
    op.execute(REGISTERED_SECRETS)


def downgrade() -> None:
    """Remove them, with the secrets: their webhooks must be registered again."""
    op.execute("DROP TABLE registered_secrets")
    op.execute("DROP TABLE registrations")
