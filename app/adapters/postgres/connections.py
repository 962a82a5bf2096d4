"""Connections for the hot statements: raw asyncpg, every wait bounded, every failure sorted for the caller.

The ORM costs one to two milliseconds of CPU a row, so intake speaks to the driver; operators' queries go through
SQLAlchemy (`engine.py`) and a pool of their own. The idle connections are a list here: asyncpg's pool puts timers, a
proxy and a task around each loan, which cost as much as the round trip of a small statement.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeGuard, cast

import asyncpg

from app.core.domain.errors import (
    OpsConnectError,
    OutcomeUnknown,
    RowBlocked,
    RowFault,
    RowRejected,
    Unavailable,
    Unfit,
)

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
    by_index: bool = False
    """No statement passes over a table that has an index for it: of tables that fill and drain, statistics are old."""

    def server_settings(self) -> dict[str, str]:
        """What each session asks of the server."""
        settings = {
            "application_name": "opsconnect",
            "timezone": "UTC",
            "jit": "off",  # compiling a small statement costs more than running it
            "lock_timeout": str(round(self.lock_seconds * 1000)),
            "statement_timeout": str(round(self.statement_seconds * 1000)),
            "idle_in_transaction_session_timeout": str(round(self.idle_in_transaction_seconds * 1000)),
        }
        return settings | ({"enable_seqscan": "off"} if self.by_index else {})


class Session(asyncpg.Connection):
    """A connection that knows which database it leads to."""

    __slots__ = ("epoch",)
    epoch: str


async def _identify(session: Session) -> None:
    """Learn which database this is; refuse one on which an acknowledged event could be lost."""
    epoch, in_recovery, unsafe = (await session.fetch(_IDENTITY))[0]
    if in_recovery:
        raise Unfit("Postgres is a standby and cannot keep events; point OPSCONNECT_DATABASE_URL at the primary")
    if unsafe:
        raise Unfit(f"Postgres runs with {' and '.join(unsafe)} off, so what it confirmed can be lost; switch it on")
    session.epoch = epoch


class Connections:
    """At most so many connections, whose every call ends in time. Nothing connects before the first use.

    What is lent comes back as it was: nothing here leaves anything behind in its session.
    """

    def __init__(self, url: str, *, budget: Budget, largest: int) -> None:
        self._url = url
        self.budget = budget
        self.largest = largest
        self._slots = asyncio.Semaphore(largest)
        self._open: set[Session] = set()
        self._idle: list[Session] = []
        self._epoch = ""
        self._answered_at = float("-inf")

    def epoch(self) -> str | None:
        """Name the database of the last round trip, if that succeeded within the last second."""
        return self._epoch if time.monotonic() - self._answered_at <= EPOCH_BELIEVED_SECONDS else None

    @property
    def usage(self) -> tuple[int, int]:
        """Connections in use, and idle ones."""
        idle = len(self._idle)
        return len(self._open) - idle, idle

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
            failure = translated(error) if _is_the_drivers(error) else error
            # A statement may still be running there: the answer to it must never meet the next caller. Or the server
            # has said that it is about to hang up.
            if not isinstance(error, asyncpg.PostgresError) or isinstance(failure, OutcomeUnknown):
                session.terminate()
            if failure is not error:
                raise failure from error
            raise
        else:
            self._epoch = session.epoch
            self._answered_at = time.monotonic()
        finally:
            self._give_back(session)

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[Session]:
        """Lend a connection for looking; every failure is `Unavailable`, because nothing is changed."""
        try:
            async with self.session() as session:
                yield session
        except (OutcomeUnknown, RowFault) as error:
            raise Unavailable(str(error)) from error

    async def _acquire(self) -> Session:
        try:
            if self._slots.locked():
                async with asyncio.timeout(self.budget.acquire_seconds):
                    await self._slots.acquire()
            else:
                await self._slots.acquire()  # at once, so without a timer
            try:
                return self._idle_one() or await self._connect()
            except BaseException:
                self._slots.release()
                raise
        except OpsConnectError:
            raise
        except Exception as error:
            self._answered_at = float("-inf")
            raise unreachable(self._url, error) from error

    def _idle_one(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()
            if not session.is_closed():
                return session
            self._open.discard(session)
        return None

    async def _connect(self) -> Session:
        async with asyncio.timeout(self.budget.connect_seconds):
            session = cast(
                "Session",
                await asyncpg.connect(
                    self._url,
                    connection_class=Session,
                    command_timeout=self.budget.call_seconds,
                    server_settings=self.budget.server_settings(),
                ),
            )
            try:
                await _identify(session)
            except BaseException:
                session.terminate()
                raise
        self._open.add(session)
        return session

    def _give_back(self, session: Session) -> None:
        if session.is_closed():
            self._open.discard(session)
        else:
            self._idle.append(session)
        self._slots.release()

    async def close(self) -> None:
        """Drop every connection; what is under way on one fails."""
        for session in self._open:
            session.terminate()
        self._open.clear()
        self._idle.clear()


def _is_the_drivers(error: BaseException) -> TypeGuard[Exception]:
    """Tell a failure that is to be translated from one of ours, and from the end of the caller."""
    return isinstance(error, Exception) and not isinstance(error, OpsConnectError)


def unreachable(url: str, error: Exception) -> Unavailable:
    """Say where no connection was had, why, and what to do. Whatever the reason, no statement was sent."""
    place = url.partition("://")[2].rpartition("@")[2].partition("?")[0]
    text = f"no connection to Postgres at {place}: {_reason(error)}"
    if isinstance(error, ValueError):
        return Unfit(f"{text}; correct the options of OPSCONNECT_DATABASE_URL")
    state = (isinstance(error, asyncpg.PostgresError) and error.sqlstate) or ""
    if state[:2] == "28":
        return Unavailable(f"{text}; correct user and password in OPSCONNECT_DATABASE_URL")
    if state == "3D000":
        return Unavailable(f"{text}; create it, or correct its name in OPSCONNECT_DATABASE_URL")
    return Unavailable(f"{text}; is it up, and is OPSCONNECT_DATABASE_URL right?")


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
    if isinstance(error, OSError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)
    # One line, without DETAIL, which may quote a row.
    return (str(error) or type(error).__name__).partition("\n")[0]
