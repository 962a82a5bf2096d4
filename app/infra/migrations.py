"""Bringing a database to a revision, and telling which revisions this code knows."""

import asyncio
from pathlib import Path

import alembic.command
import alembic.config
import asyncpg
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

import migrations
from app.adapters.postgres.connections import unreachable
from app.core.domain.errors import Fault, Invalid, Unavailable


def _config(url: str) -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config


def migrate(url: str, revision: str = "head") -> tuple[str | None, str | None]:
    """Upgrade the database to a revision; several at once wait for each other. Call it outside any event loop.

    Gives the revisions before and after. Raises `Unavailable` when the database cannot be reached or refuses, and
    `Invalid` when there is no such revision.
    """
    before = _asked(url)
    known = [script.revision for script in ScriptDirectory.from_config(_config(url)).walk_revisions("base", "heads")]
    if before is not None and before not in known:
        text = f"the database is at revision {before}, which this version does not know: run a newer OpsConnect on it"
        raise Invalid([Fault("OPSCONNECT_DATABASE_URL", text)])
    try:
        alembic.command.upgrade(_config(url), revision)
    except CommandError as error:
        text = f"{str(error).partition(chr(10))[0]}; there are {', '.join(reversed(known))} and head"
        raise Invalid([Fault("--to", text)]) from error
    except (SQLAlchemyError, OSError) as error:
        raise Unavailable(f"Postgres: {str(error).partition(chr(10))[0]}") from error
    return before, _asked(url)


def _asked(url: str) -> str | None:
    """Ask the database for its revision."""

    async def ask() -> str | None:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
                return None
            found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
            return found
        finally:
            await connection.close()

    try:
        return asyncio.run(ask())
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise unreachable(url, error) from error


def newest() -> str:
    """Give the revision that this code expects of its database."""
    head = ScriptDirectory.from_config(_config("")).get_current_head()
    assert head is not None  # noqa: S101 (the migrations come with the code)
    return head
