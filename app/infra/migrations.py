"""Bringing a database to a revision, and telling which revisions this code knows."""

from pathlib import Path

import alembic.command
import alembic.config
from alembic.script import ScriptDirectory

import migrations
from app.infra.database_url import for_sqlalchemy


def _config(url: str) -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = for_sqlalchemy(url)
    return config


def migrate(url: str, revision: str = "head") -> None:
    """Upgrade the database to a revision; several at once wait for each other. Call it outside any event loop."""
    alembic.command.upgrade(_config(url), revision)


def newest() -> str:
    """Give the revision that this code expects of its database."""
    head = ScriptDirectory.from_config(_config("")).get_current_head()
    assert head is not None  # noqa: S101 (the migrations come with the code)
    return head
