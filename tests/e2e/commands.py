"""Commands as processes of their own, forked from one that has imported everything: the imports are what takes long.

What a fork leaves out, the start of the interpreter and `app/__main__.py`, `tests/e2e/test_readme.py` and
`tests/e2e/test_jobs_survive.py` go through.
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

MOST_BYTES = 1_000_000
MOST_STREAMS = 5


class Forked:
    """A running command, to be handled as a `subprocess.Popen`; it reads nothing unless it is given `stdin`."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        out: int,
        err: int,
        *,
        stdin: int | None = None,
        listener: int | None = None,
    ) -> None:
        """Start it. A `listener` is handed over as systemd does."""
        self._arguments = ["opsconnect", *arguments]
        order = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "folder": str(folder),
            "listens": listener is not None,
        }
        told, tells = os.pipe()
        null = os.open(os.devnull, os.O_RDONLY)
        streams = [tells, null if stdin is None else stdin, out, err, *([] if listener is None else [listener])]
        socket.send_fds(_mother(), [json.dumps(order).encode()], streams)
        os.close(tells)
        os.close(null)
        self._ear = os.fdopen(told, "rb", buffering=0)
        self.pid = int(self._ear.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Give the exit code; None while it runs."""
        return self._heard(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code. Raises `subprocess.TimeoutExpired`."""
        code = self._heard(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self._arguments, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it without a word."""
        self.send_signal(signal.SIGKILL)

    def _heard(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._ear], [], [], seconds)[0]:
            self.returncode = int(self._ear.readline())
            self._ear.close()
        return self.returncode


def run(
    arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path, seconds: float, stdin: bytes = b""
) -> "subprocess.CompletedProcess[str]":
    """Run `opsconnect` with these arguments, as `subprocess.run` does, and give what it said."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        running = Forked(arguments, environment, folder, out.fileno(), err.fileno(), stdin=given.fileno())
        try:
            code = running.wait(seconds)
        finally:
            running.kill()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(["opsconnect", *arguments], code, out.read().decode(), err.read().decode())


@cache
def _mother() -> socket.socket:
    """Start the process that the others are forked from; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST_BYTES)
    process = subprocess.Popen([sys.executable, "-m", __name__, str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    atexit.register(_end, ours, process)
    return ours


def _end(ours: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    ours.close()
    process.wait(10)


def _serve(orders: socket.socket) -> None:
    import app.cli
    import app.infra.dev
    import app.infra.migrations
    import app.infra.serving
    import app.infra.worker  # noqa: F401 (with what most commands load)

    gc.freeze()  # else a collection in a fork would write to, and so copy, all that was imported
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the nurses
    while True:
        content, streams, _, _ = socket.recv_fds(orders, MOST_BYTES, MOST_STREAMS)
        if not content:
            return
        if not os.fork():
            orders.close()
            _nurse(json.loads(content), *streams)
        for stream in streams:
            os.close(stream)


def _nurse(order: dict[str, Any], tells: int, *streams: int) -> NoReturn:
    """Fork the command, wait for it, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if not (pid := os.fork()):
        os.close(tells)
        _become(order, streams)
    for stream in streams:
        os.close(stream)
    os.write(tells, f"{pid}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(tells, f"{code}\n".encode())
    os._exit(0)


def _become(order: dict[str, Any], streams: Sequence[int]) -> NoReturn:
    from app.cli import main

    for target, source in enumerate(streams):
        os.dup2(source, target)
        os.close(source)
    os.environ.clear()
    os.environ.update(order["environment"])
    if order["listens"]:
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    os.chdir(order["folder"])
    sys.path[:0] = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.argv = ["opsconnect", *order["arguments"]]
    try:
        main()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 (as the interpreter would)
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
