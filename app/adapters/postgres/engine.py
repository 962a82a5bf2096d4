"""The operators' door to Postgres: SQLAlchemy Core on a small pool of its own; a slow look never holds intake up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.adapters.postgres.connections import Budget
from app.core.domain.errors import Unavailable


def make_engine(url: str, *, budget: Budget, largest: int) -> AsyncEngine:
    """Make the engine; it connects at its first use."""

    async def connect() -> asyncpg.Connection:
        # By the driver itself, so that the URL means here what it means to intake: SQLAlchemy knows no `sslmode`.
        return await asyncpg.connect(
            url,
            timeout=budget.connect_seconds,
            command_timeout=budget.call_seconds,
            server_settings=budget.server_settings(),
        )

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=largest,
        max_overflow=0,
        pool_timeout=budget.acquire_seconds,
        pool_pre_ping=True,
    )


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Lend a connection for looking; every failure is `Unavailable`, because nothing is changed."""
    try:
        async with engine.connect() as connection:
            yield connection
    except (
        DBAPIError,
        PoolTimeoutError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        OSError,
        TimeoutError,
    ) as error:
        raise Unavailable(f"Postgres: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    text = (str(cause) or type(cause).__name__).partition("\n")[0].rpartition(">: ")[2]
    return f"{text}; is the schema up to date? Run 'opsconnect migrate'" if _lacks_a_table(cause) else text


def _lacks_a_table(error: BaseException) -> bool:
    state = getattr(error, "sqlstate", None)
    return state in {"42P01", "42703"}
