"""Child processes that end with their owner, and what can be seen of other people's.

On Linux the kernel signals a child when the *thread* that forked it ends (`PR_SET_PDEATHSIG`). So each
`Child` is forked by a thread of its own that stays until the child has ended: whoever calls may come and go,
the server lives until it is stopped or until the whole owner is gone, however it went. macOS has nothing like
it: there a server outlives an owner that was killed, until the next start on the same data folder ends it
(`end_leftover`).
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Event, Thread
from typing import IO

_LAUNCH = Path(__file__).with_name("launch.py")
_POLL_SECONDS = 0.01
_LINUX = sys.platform == "linux"


def _launched(program: Sequence[str], identity: str, death_signal: signal.Signals) -> list[str]:
    return [
        *(sys.executable, "-I", "-S", str(_LAUNCH)),
        *(str(os.getpid()), str(int(death_signal)), identity),
        *program,
    ]


def _environment() -> dict[str, str]:
    """What a server gets to see: none of our secrets, no `PG…` variable, and messages in English."""
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {"LC_ALL": "C", **{name: os.environ[name] for name in kept if name in os.environ}}


def run(program: Sequence[str], *, identity: str = "self", cwd: Path, stdin: str = "") -> tuple[int, str]:
    """Run a program to its end; its exit status and all its output. It ends with its owner.

    In a session of its own, so that a Ctrl-C in the terminal reaches the owner only, which then decides.
    """
    with subprocess.Popen(  # noqa: S603 - programs found by `binaries`
        _launched(program, identity, signal.SIGTERM),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=_environment(),
        start_new_session=True,
        text=True,
        errors="replace",
    ) as process:
        try:
            output, _ = process.communicate(stdin)
        except BaseException:
            process.terminate()
            raise
    return process.returncode, output


class Child:
    """A server that we started: direct child, session of its own, ends with its owner."""

    def __init__(
        self,
        program: Sequence[str],
        *,
        identity: str = "self",
        death_signal: signal.Signals,
        cwd: Path,
        log: IO[str],
        stdin: bytes = b"",
    ) -> None:
        """Start it; `stdin` is what it reads there. Raises `OSError` when there is no starting it."""
        self._ended = Event()
        started: Future[subprocess.Popen[bytes]] = Future()

        def keep() -> None:
            try:
                process = subprocess.Popen(  # noqa: S603 - the same
                    _launched(program, identity, death_signal),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=cwd,
                    env=_environment(),
                    start_new_session=True,
                )
            except BaseException as problem:  # noqa: BLE001 - it is raised again where somebody waits for it
                started.set_exception(problem)
                return
            started.set_result(process)
            process.wait()
            self._ended.set()

        Thread(target=keep, name=f"keeper of {Path(program[0]).name}", daemon=True).start()
        self._process = started.result()
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
                pipe.write(stdin)

    @property
    def pid(self) -> int:
        """Its process number, the same before and after it became the server."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it is gone and reaped."""
        return self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until it is gone; False when it is still there after so long."""
        return self._ended.wait(seconds)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def stop(self, *steps: tuple[signal.Signals, float]) -> None:
        """Send each signal in turn and give it so many seconds to work; SIGKILL comes last of all."""
        for number, seconds in steps:
            self.send(number)
            if self.wait(seconds):
                return
        self.send(signal.SIGKILL)
        self._ended.wait()


def is_alive(pid: int) -> bool:
    """Whether a process of this number runs; one that is only waiting to be reaped does not."""
    if _LINUX:
        state = _stat(pid)
        return bool(state) and state[0] not in {"Z", "X"}
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def children_of(pid: int) -> list[int]:
    """The processes that this one has forked and that still run."""
    if _LINUX:
        everyone = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        return [each for each in everyone if (state := _stat(each)) and state[1] == str(pid)]
    rows = [row.split() for row in _ps("-axo", "pid=,ppid=").splitlines()]
    return [int(child) for child, parent in rows if parent == str(pid)]


def command_of(pid: int) -> str:
    """The command line of a process, its words joined by blanks; empty when it is gone."""
    if _LINUX:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    return _ps("-o", "command=", "-p", str(pid))


def wait_until_gone(pids: Sequence[int], seconds: float) -> list[int]:
    """Wait for processes that are not our children; those which are still there after so long."""
    deadline = time.monotonic() + seconds
    while (left := [pid for pid in pids if is_alive(pid)]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return left


def end_leftover(pid: int, *, known_by: str, request: signal.Signals, seconds: float) -> bool:
    """End a server that a killed owner left behind. True when no such server runs any more.

    The number may belong to another process by now: only one whose command line holds `known_by` is touched.
    """
    if not is_alive(pid) or known_by not in command_of(pid):
        return True
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, request)
    return not wait_until_gone([pid], seconds)


def _stat(pid: int) -> list[str]:
    """State, parent and so on of /proc/PID/stat, behind the name, which may hold blanks and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _ps(*options: str) -> str:
    command = ["/bin/ps", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - the system's
