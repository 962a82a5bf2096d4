"""Connections for the hot statements: raw asyncpg, every wait bounded, every failure sorted for the caller.

The ORM costs one to two milliseconds of CPU a row, so intake speaks to the driver; operators' queries go through
SQLAlchemy (`engine.py`) and a pool of their own.
"""

import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import asyncpg

from app.core.domain.errors import OpsConnectError, OutcomeUnknown, RowBlocked, RowRejected, Unavailable, Unfit

EPOCH_BELIEVED_SECONDS = 1.0

# Which database this is, and since when it has run without a break: the same data restored elsewhere, failed over or
# restarted gives another text. And whether a commit there is worth its name.
_IDENTITY = """
SELECT (SELECT system_identifier FROM pg_control_system())
       || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
       || '/' || extract(epoch FROM pg_postmaster_start_time()),
       pg_is_in_recovery(),
       array(SELECT name FROM pg_settings
             WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name)
"""


@dataclass(frozen=True, slots=True)
class Budget:
    """The longest waits, in seconds; the last three are enforced by the server as well."""

    acquire_seconds: float = 0.3
    connect_seconds: float = 0.5
    call_seconds: float = 1.0
    lock_seconds: float = 0.5
    statement_seconds: float = 2.0
    idle_in_transaction_seconds: float = 5.0

    def server_settings(self) -> dict[str, str]:
        """What each session asks of the server."""
        return {
            "application_name": "opsconnect",
            "timezone": "UTC",
            "jit": "off",  # compiling a small statement costs more than running it
            "lock_timeout": str(round(self.lock_seconds * 1000)),
            "statement_timeout": str(round(self.statement_seconds * 1000)),
            "idle_in_transaction_session_timeout": str(round(self.idle_in_transaction_seconds * 1000)),
        }


class Session(asyncpg.Connection):
    """A connection that knows which database it leads to."""

    __slots__ = ("epoch",)
    epoch: str


async def _leave_as_it_is(_: Session) -> None:
    """Cost no round trip at release: nothing here leaves anything behind in its session."""


async def _identify(session: Session) -> None:
    """Learn which database this is; refuse one on which an acknowledged event could be lost."""
    epoch, in_recovery, unsafe = (await session.fetch(_IDENTITY))[0]
    if in_recovery:
        raise Unfit("Postgres is a standby and cannot keep events; point OPSCONNECT_DATABASE_URL at the primary")
    if unsafe:
        raise Unfit(f"Postgres runs with {' and '.join(unsafe)} off, so what it confirmed can be lost; switch it on")
    session.epoch = epoch


class Connections:
    """A pool whose every call ends in time. Nothing connects before the first use."""

    def __init__(self, url: str, *, budget: Budget, largest: int) -> None:
        self._url = url
        self.budget = budget
        self.largest = largest
        self._pool: Any = None
        self._epoch = ""
        self._answered_at = float("-inf")

    def epoch(self) -> str | None:
        """Name the database of the last round trip, if that succeeded within the last second."""
        return self._epoch if time.monotonic() - self._answered_at <= EPOCH_BELIEVED_SECONDS else None

    @property
    def usage(self) -> tuple[int, int]:
        """Connections in use, and idle ones."""
        if self._pool is None:
            return 0, 0
        idle = self._pool.get_idle_size()
        return self._pool.get_size() - idle, idle

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Lend a connection. A failure inside is translated, and the connection is thrown away if it is in doubt.

        Raises `Unavailable`, `OutcomeUnknown`, `RowRejected` or `RowBlocked`.
        """
        session = await self._acquire()
        try:
            yield session
        except BaseException as error:
            self._answered_at = float("-inf")
            # A statement may still be running there: the answer to it must never meet the next caller. A connection
            # that broke by itself is back in the pool's hands already, and says so.
            if not isinstance(error, asyncpg.PostgresError):
                with contextlib.suppress(asyncpg.InterfaceError):
                    session.terminate()
            if isinstance(error, Exception) and not isinstance(error, OpsConnectError):
                raise translated(error) from error
            raise
        else:
            self._epoch = session.epoch
            self._answered_at = time.monotonic()
        finally:
            await self._pool.release(session)

    async def _acquire(self) -> Session:
        if self._pool is None:
            self._pool = asyncpg.create_pool(  # type: ignore[call-overload]  # the stubs fix the connection class
                self._url,
                min_size=0,
                max_size=self.largest,
                max_queries=2**31,  # a connection is not made anew in the middle of a burst
                max_inactive_connection_lifetime=0,
                connection_class=Session,
                init=_identify,
                reset=_leave_as_it_is,
                timeout=self.budget.connect_seconds,
                command_timeout=self.budget.call_seconds,
                server_settings=self.budget.server_settings(),
            )
            await self._pool
        try:
            return cast("Session", await self._pool.acquire(timeout=self.budget.acquire_seconds))
        except OpsConnectError:
            raise
        except Exception as error:
            self._answered_at = float("-inf")
            # Whatever kept us from a connection, no statement was sent.
            raise Unavailable(
                f"no connection to Postgres: {_reason(error)}; is it up, and is OPSCONNECT_DATABASE_URL right?"
            ) from error

    async def close(self) -> None:
        """Close what is idle and drop the rest."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None


def translated(error: Exception) -> OpsConnectError:
    """Sort a failure of a statement: nothing was kept, it is not known, or one row stands in the way."""
    text = f"Postgres: {_reason(error)}"
    if not isinstance(error, asyncpg.PostgresError):
        # Time ran out or the connection broke while a statement was under way: its commit may have happened.
        return OutcomeUnknown(text)
    state = error.sqlstate or ""
    if state in {"55P03", "40P01", "40001"}:
        return RowBlocked(text)
    if state[:2] in {"22", "23", "P0"}:
        return RowRejected(text)
    if state[:2] == "08" or state[:4] == "57P0":
        return OutcomeUnknown(text)
    if state == "42501":
        text += "; the role lacks a right, docs/operations.md lists those it needs"
    elif state[:2] == "42":
        text += "; is the schema up to date? Run 'opsconnect migrate'"
    return Unavailable(text)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    # One line, without DETAIL, which may quote a row.
    return (str(error) or type(error).__name__).partition("\n")[0]
