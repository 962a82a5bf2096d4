"""A real Postgres of our own: made at the first start, durable, local, gone with its owner."""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from types import MappingProxyType

from app.infra.embedded import cluster, identity
from app.infra.embedded.binaries import find_postgres
from app.infra.embedded.data_folder import DataFolder
from app.infra.embedded.errors import EmbeddedError, last_words
from app.infra.embedded.process import Child, children_of, end_leftover, is_alive, wait_until_gone

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
# Given on the command line, where they outrank postgresql.conf and ALTER SYSTEM.
SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",  # the path of a socket may hold some 100 bytes, ours may be longer
        "password_encryption": "scram-sha-256",
        # What an answer to a provider rests on. A server that loses data would teach the wrong lessons.
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "max_connections": "100",
        "shared_buffers": "128MB",  # taken page by page as it is used; an idle server stays near 20 MB
        "max_wal_size": "512MB",  # a laptop's disk, and a recovery of seconds
        "wal_compression": "off",  # pages of random keys do not shrink, and trying to costs more than all else
        "jit": "off",  # our statements are short; compiling them costs more than it saves
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",  # nobody reads of them in development
        "log_line_prefix": "%m [%p] ",
        "lc_messages": "C",  # `last_words` and the tests read English
    }
)
# What a starting server complains of that goes away by trying again.
_PORT_TAKEN = "Address already in use"
_BACKENDS_LINGER = "pre-existing shared memory block"  # their postmaster was killed, they are about to notice
_ATTEMPTS = 3
_READY_SECONDS = 60.0
_LEFTOVER_SECONDS = 10.0
_POLL_SECONDS = 0.01
_STATUS_LINE = 7


class PostgresServer:
    """One Postgres on a data folder. Its address stays the same for the life of this object."""

    def __init__(
        self,
        folder: DataFolder,
        *,
        postgres_bin: Path | None = None,
        extra_settings: Mapping[str, str] = NO_SETTINGS,
    ) -> None:
        """`postgres_bin` is a folder of programs; `extra_settings` are Postgres's own, and outrank ours."""
        self._folder = folder
        self._bin = postgres_bin
        self._settings = extra_settings
        self._child: Child | None = None
        self._port: int | None = None

    @property
    def pid(self) -> int:
        """The postmaster's process number."""
        if self._child is None:
            raise RuntimeError("this Postgres was never started")
        return self._child.pid

    def url(self, database: str = cluster.DATABASE) -> str:
        """How our role, no superuser, reaches a database; it owns `opsconnect` and may make others."""
        return self._url(cluster.ROLE, database)

    def superuser_url(self, database: str = cluster.DATABASE) -> str:
        """How the superuser reaches a database: for tests that look behind the scenes."""
        return self._url(cluster.SUPERUSER, database)

    def start(self) -> None:
        """Start it, made before if need be, and return when it takes connections; recovery is over by then.

        A second start of this object comes up at the same address. Raises `EmbeddedError`, and `OSError` when
        the system refuses something.
        """
        if self._child is not None and not self._child.ended:
            raise RuntimeError("this Postgres is running already")
        needed = cluster.major_version(self._folder)
        programs = find_postgres(self._bin, needed, self._folder.cluster)
        who = identity.choose(self._folder, programs)
        if needed is None:
            cluster.make(self._folder, programs, who)
        else:
            self._see_off_predecessor()
            cluster.renew_passwords(self._folder, programs, who)
        self._launch_until_ready(programs.postgres, who)

    def stop(self) -> None:
        """Shut it down in good order: open transactions roll back, all is written. Safe to repeat."""
        if self._child is not None and not self._child.ended:
            # "Fast", for those who do not go in time "immediate", which recovers at the next start.
            self._child.stop((signal.SIGINT, 5.0), (signal.SIGQUIT, 5.0))

    def kill(self) -> None:
        """SIGKILL the postmaster; return when it and all of its processes are gone. For fault tests."""
        if self._child is None or self._child.ended:
            return
        family = children_of(self._child.pid)
        self._child.stop()
        # They notice and end by themselves, except a backend that is deep in a computation.
        for busy in wait_until_gone(family, 2.0):
            with contextlib.suppress(ProcessLookupError):
                os.kill(busy, signal.SIGKILL)
        wait_until_gone(family, 5.0)

    def _url(self, role: str, database: str) -> str:
        if self._port is None:
            raise RuntimeError("this Postgres was never started")
        return f"postgresql://{role}:{self._folder.password(role)}@127.0.0.1:{self._port}/{database}"

    def _see_off_predecessor(self) -> None:
        """Wait for the Postgres of a killed owner to finish, and take away what would pass for it."""
        number = self._lock_file().split("\n")[0]
        if not number.isdecimal():
            return
        pid = int(number)
        itself = f"-D {self._folder.cluster}"
        if not end_leftover(pid, known_by=itself, request=signal.SIGINT, seconds=_LEFTOVER_SECONDS):
            raise EmbeddedError(
                f"an earlier Postgres (process {pid}) is still shutting down in {self._folder.cluster}: "
                "try again in a moment"
            )
        if is_alive(pid):  # another process has got the number, and Postgres would take that one for a Postgres
            (self._folder.cluster / "postmaster.pid").unlink(missing_ok=True)

    def _launch_until_ready(self, postgres: str, who: str) -> None:
        address = self._port
        deadline = time.monotonic() + _LEFTOVER_SECONDS
        for attempt in count(1):
            self._port = self._folder.port("postgres", insist=address)
            stale = self._lock_file()
            with self._folder.log("postgres") as log:
                self._child = Child(
                    self._command(postgres),
                    identity=who,
                    death_signal=signal.SIGINT,
                    cwd=self._folder.path,
                    log=log.file,
                )
            if self._becomes_ready(self._child, stale):
                return
            said = log.said()
            backends_linger = _BACKENDS_LINGER in said and time.monotonic() < deadline
            port_was_taken = _PORT_TAKEN in said and attempt < _ATTEMPTS  # by somebody, after we had looked
            if not (backends_linger or port_was_taken):
                raise EmbeddedError(f"Postgres did not start: {last_words(said)} (see {log.path})")

    def _command(self, postgres: str) -> list[str]:
        settings = {**SETTINGS, **self._settings, "port": str(self._port)}
        return [
            *(postgres, "-D", str(self._folder.cluster)),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
        ]

    def _becomes_ready(self, child: Child, stale: str) -> bool:
        """Whether it took connections before it ended; it says so in the last line of its lock file."""
        deadline = time.monotonic() + _READY_SECONDS
        while not child.wait(_POLL_SECONDS):
            # In a container numbers repeat from one life to the next, so the number alone does not say who
            # wrote.
            lines = text.split("\n") if (text := self._lock_file()) != stale else []
            if len(lines) > _STATUS_LINE and lines[0] == str(child.pid) and lines[_STATUS_LINE].strip() == "ready":
                return True
            if time.monotonic() > deadline:
                self.stop()
                raise EmbeddedError(
                    f"Postgres was not ready within {_READY_SECONDS:.0f} s (see {self._folder.path}/log)"
                )
        return False

    def _lock_file(self) -> str:
        """What the running Postgres, or one that was killed, says of itself; empty when there is none."""
        try:
            return (self._folder.cluster / "postmaster.pid").read_text()
        except FileNotFoundError:
            return ""
