"""Several serving processes on one port, and the small parent that keeps them.

The parent takes the port and forks; every worker accepts from the very same socket. So a connection that waits for a
worker which has just died or left is accepted by another one. With sockets of their own on one port (SO_REUSEPORT) it
would be reset together with the queue that it waits in. The parent runs no loop, starts no thread and writes no log,
so it may fork at any time.

Parent and worker are tied by a pair of sockets. A worker says one word there when it is ready. When its end closes, the
parent knows that it is gone; when the parent's end closes, however the parent went, a worker drains and ends.

The first worker starts alone: what keeps it from starting would keep the others as well, so that is said once and ends
everything. The same goes for one that cannot start when nobody else serves. Any other worker that ends is replaced: at
once if it had served for long, else after a pause that doubles from one end to the next.
"""

import asyncio
import contextlib
import gc
import math
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.core.domain.errors import Fault, Invalid
from app.infra.shared_page import SharedPage
from app.settings import Settings

STEADY_SECONDS = 30.0
"""Who has served so long is replaced at once."""
SHORTEST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
BEYOND_BUDGET_SECONDS = 5.0
"""A worker that has not drained so long after its time is killed."""
READY = b"!"
LEAVE = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Seat:
    """What a worker has from its parent."""

    number: int
    page: SharedPage
    others: tuple[SharedPage, ...]
    replaces: str
    """How the worker before it ended; empty for the first one."""
    parent: socket.socket

    def tell_ready(self) -> None:
        """Tell the parent, and drain when it is gone; call it on the loop, when nothing can go wrong any more."""
        with contextlib.suppress(OSError):
            self.parent.send(READY)
        asyncio.get_running_loop().add_reader(self.parent, self._orphaned)

    def _orphaned(self) -> None:
        asyncio.get_running_loop().remove_reader(self.parent)
        os.kill(os.getpid(), signal.SIGTERM)


@dataclass(slots=True)
class _Worker:
    """A worker, as its parent knows it."""

    number: int
    pid: int
    socket: socket.socket
    started: float
    ready: bool = False


def serve_together(
    settings: Settings, listener: socket.socket, serve: Callable[[Settings, socket.socket, Seat], None]
) -> None:
    """Have `serve` called in each of so many workers, until a signal lets them drain. Returns in all processes.

    Raises `SystemExit` in the parent, with the code of a worker that failed; in a worker, whatever `serve` raises.
    """
    outcome = _Crew(settings, listener).gather()
    if isinstance(outcome, Seat):
        serve(settings, listener, outcome)
    elif outcome:
        raise SystemExit(outcome)


class _Crew:
    """The workers, one a seat."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._listener = listener
        self._drain_seconds = (
            settings.drain_announce_seconds + settings.drain_in_flight_seconds + settings.drain_telemetry_seconds
        )
        self._pages = tuple(SharedPage() for _ in range(settings.workers))
        self._pauses = [0.0] * settings.workers
        self._replaced = [""] * settings.workers
        self._working: dict[int, _Worker] = {}
        """By seat."""
        self._due = {0: time.monotonic()}
        """Empty seats, and when somebody is to take them."""
        self._leaving = False
        self._kill_at = math.inf
        self._exit_code = 0
        self._signals, self._signalled = socket.socketpair()

    def gather(self) -> Seat | int:
        """Start workers and keep them. Returns in each of them, and in the parent after them, with the exit code."""
        self._signalled.setblocking(False)
        signal.set_wakeup_fd(self._signalled.fileno())
        for number in LEAVE:
            signal.signal(number, lambda *_: None)
        # What is in memory now is shared with every worker for as long as no collector writes to it.
        gc.collect()
        gc.freeze()
        while self._working or self._due:
            if seat := self._fill_seats():
                return seat
            self._wait()
        return self._exit_code

    def _fill_seats(self) -> Seat | None:
        for number, due in list(self._due.items()):
            if due <= time.monotonic():
                del self._due[number]
                if seat := self._start(number):
                    return seat
        return None

    def _start(self, number: int) -> Seat | None:
        ours, theirs = socket.socketpair()
        # A signal between the fork and the worker's own handlers would be lost in ours.
        signal.pthread_sigmask(signal.SIG_BLOCK, LEAVE)
        try:
            pid = os.fork()
            if not pid:
                self._let_go(ours)
                others = self._pages[:number] + self._pages[number + 1 :]
                return Seat(number + 1, self._pages[number], others, self._replaced[number], theirs)
        except OSError as error:
            ours.close()
            if not self._working:
                raise Invalid([Fault("--workers", f"no process can be started: {error.strerror}")]) from None
            self._replace(number, served_seconds=0)
        else:
            self._working[number] = _Worker(number, pid, ours, time.monotonic())
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, LEAVE)
        theirs.close()
        return None

    def _let_go(self, ours: socket.socket) -> None:
        """Give up, in a new worker, what is the parent's."""
        os.setsid()  # a Ctrl-C in the terminal reaches the parent alone, which passes it on
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for theirs in (self._signals, self._signalled, ours, *(worker.socket for worker in self._working.values())):
            theirs.close()

    def _wait(self) -> None:
        """Wait for a word, an end, a signal, or somebody's time; and act on it."""
        sockets = {worker.socket: worker for worker in self._working.values()}
        wake_at = min([self._kill_at, *self._due.values()])
        seconds = None if wake_at == math.inf else max(wake_at - time.monotonic(), 0)
        readable, _, _ = select.select([self._signals, *sockets], [], [], seconds)
        for source in readable:
            if source is self._signals:
                for _ in source.recv(64):  # a byte each
                    self._leave()
            else:
                self._hear(sockets[source])
        if time.monotonic() >= self._kill_at:
            self._kill_at = math.inf
            self._tell_all(signal.SIGKILL)

    def _hear(self, worker: _Worker) -> None:
        if worker.socket.recv(1):
            worker.ready = True
            if not self._leaving:
                missing = set(range(len(self._pages))) - set(self._working) - set(self._due)
                self._due.update(dict.fromkeys(missing, time.monotonic()))
            return
        worker.socket.close()
        del self._working[worker.number]
        _, status = os.waitpid(worker.pid, 0)
        self._ended(worker, os.waitstatus_to_exitcode(status))

    def _ended(self, worker: _Worker, code: int) -> None:
        if self._leaving:
            if code not in {0, -signal.SIGTERM}:  # by the signal itself: it had not begun to serve
                self._exit_code = self._exit_code or _exit_code(code)
        elif worker.ready or any(other.ready for other in self._working.values()):
            self._replaced[worker.number] = _how(code)
            self._replace(worker.number, served_seconds=time.monotonic() - worker.started)
        else:
            self._exit_code = _exit_code(code)
            self._leave()

    def _replace(self, number: int, *, served_seconds: float) -> None:
        longer = min(max(2 * self._pauses[number], SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        self._pauses[number] = 0 if served_seconds >= STEADY_SECONDS else longer
        self._due[number] = time.monotonic() + self._pauses[number]

    def _leave(self) -> None:
        """Have all drain; told again, they hurry."""
        if not self._leaving:
            self._leaving = True
            self._kill_at = time.monotonic() + self._drain_seconds + BEYOND_BUDGET_SECONDS
            self._due.clear()
            self._listener.close()  # the port is open until the last worker has closed it, too
        self._tell_all(signal.SIGTERM)

    def _tell_all(self, number: signal.Signals) -> None:
        for worker in self._working.values():
            os.kill(worker.pid, number)


def _exit_code(code: int) -> int:
    """Give what a shell would: a signal is 128 and its number."""
    return code if code >= 0 else 128 - code


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
