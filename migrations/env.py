"""Alembic's entry: `opsconnect migrate` and `alembic upgrade head` both come through here."""

import asyncio

import asyncpg
from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.adapters.postgres.tables import metadata

# One migration at a time, whoever starts it.
MIGRATION_LOCK = 7_310_001


def migrate(connection: Connection) -> None:
    """Run the migrations in one transaction, alone."""
    context.configure(connection=connection, target_metadata=metadata, compare_type=True)
    with context.begin_transaction():
        connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        context.run_migrations()


async def connect_and_migrate(url: str) -> None:
    """Open a connection of our own for the migrations."""

    async def connect() -> asyncpg.Connection:
        # By the driver itself, so that the URL means here what it means to the rest.
        return await asyncpg.connect(url, timeout=10)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
            await connection.commit()
    finally:
        await engine.dispose()


def url_of_settings() -> str:
    """Find the database as every command does, when Alembic itself was started from the shell."""
    from app.infra.database_url import find
    from app.settings import load

    return find(load())


asyncio.run(connect_and_migrate(context.config.attributes.get("url") or url_of_settings()))
