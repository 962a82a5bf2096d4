"""A real Redis-compatible server of our own. Nothing is kept on disk: what Redis holds here may be lost."""

import contextlib
import signal
import socket
import time
from itertools import count

from app.infra.embedded.data_folder import DataFolder, ServerLog
from app.infra.embedded.errors import EmbeddedError, last_words
from app.infra.embedded.process import Child, end_leftover

# Read by the server from its standard input: the password stands in no command line and in no second file.
_CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
daemonize no
pidfile {pid_file}
save ""
appendonly no
maxmemory 256mb
# What holds no expiry must not vanish; locks and markers expire, and those nearest to their end may go first.
maxmemory-policy volatile-ttl
"""
_PID_FILE = "redis.pid"
_PORT_TAKEN = "Address already in use"
_ATTEMPTS = 3
_READY_SECONDS = 10.0
_LEFTOVER_SECONDS = 5.0
_POLL_SECONDS = 0.01


class RedisServer:
    """One Redis-compatible server. Its address stays the same for the life of this object."""

    def __init__(self, folder: DataFolder, program: str) -> None:
        """`program` is the server's binary, see `find_redis`."""
        self._folder = folder
        self._program = program
        self._child: Child | None = None
        self._port: int | None = None
        self._insist: int | None = None
        self._log: ServerLog | None = None

    @property
    def pid(self) -> int:
        """The server's process number."""
        return self._started[0].pid

    def url(self, database: int = 0) -> str:
        """How to reach one of its 16 databases."""
        if self._port is None:
            raise RuntimeError("this Redis was never started")
        return f"redis://:{self._folder.password('redis')}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Start it, empty, and return when it answers; a second start comes up at the same address.

        Raises `EmbeddedError`, and `OSError` when the system refuses something.
        """
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start it and do not wait: the first half of `start`, for who has something to do meanwhile."""
        if self._child is not None and not self._child.ended:
            raise RuntimeError("this Redis is running already")
        self._insist = self._port
        self._see_off_predecessor()
        self._launch()

    def wait_until_ready(self) -> None:
        """Return when it answers: the second half of `start`. Raises `EmbeddedError`."""
        for attempt in count(1):
            if self._becomes_ready():
                return
            _, log = self._started
            if _PORT_TAKEN not in (said := log.said()) or attempt == _ATTEMPTS:
                raise EmbeddedError(f"Redis did not start: {last_words(said)} (see {log.path})")
            self._launch()  # somebody took the port after we had looked

    def stop(self) -> None:
        """Shut it down. Safe to repeat."""
        if self._child is not None and not self._child.ended:
            self._child.stop((signal.SIGTERM, 5.0))

    def kill(self) -> None:
        """Kill it with SIGKILL and return when it is gone. For fault tests."""
        if self._child is not None and not self._child.ended:
            self._child.stop()

    @property
    def _started(self) -> tuple[Child, ServerLog]:
        if self._child is None or self._log is None:
            raise RuntimeError("this Redis was never started")
        return self._child, self._log

    def _see_off_predecessor(self) -> None:
        """Let the server of a killed owner end first, so that its port is free again."""
        record = self._folder.folder("redis") / _PID_FILE
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = int(record.read_text())
            # It goes by its address in the list of processes. One that will not end only costs its port.
            address = f"127.0.0.1:{self._folder.remembered_port('redis')}"
            end_leftover(pid, known_by=address, request=signal.SIGTERM, seconds=_LEFTOVER_SECONDS)
        record.unlink(missing_ok=True)

    def _launch(self) -> None:
        self._port = self._folder.port("redis", insist=self._insist)
        config = _CONFIG.format(port=self._port, password=self._folder.password("redis"), pid_file=_PID_FILE)
        with self._folder.log("redis") as self._log:
            self._child = Child(
                [self._program, "-"],
                death_signal=signal.SIGTERM,
                cwd=self._folder.folder("redis"),
                log=self._log.file,
                stdin=config.encode(),
            )

    def _becomes_ready(self) -> bool:
        """Whether it answered to its password before it ended."""
        child, log = self._started
        deadline = time.monotonic() + _READY_SECONDS
        while not child.wait(_POLL_SECONDS):
            if self._answers():
                return True
            if time.monotonic() > deadline:
                self.stop()
                raise EmbeddedError(f"Redis did not answer within {_READY_SECONDS:.0f} s (see {log.path})")
        return False

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port or 0), timeout=1.0) as connection:
                connection.sendall(f"AUTH {self._folder.password('redis')}\r\n".encode())
                return connection.recv(64).startswith(b"+OK")
        except OSError:
            return False
