"""A file descriptor for log lines that may stand still or break without anybody waiting for it.

Whoever reads our standard output (a pipe to a collector, a terminal) may stop reading; a write would then wait for
ever, and with it every request. So one thread writes, and lines beyond a bound are dropped and counted. The thread
rests between two writes, so that a thousand lines a second cost a hundred wake-ups.
"""

import contextlib
import os
import select
import threading
from collections.abc import Callable

MOST_WAITING_BYTES = 4_000_000
REST_SECONDS = 0.01
_CHUNK_BYTES = 65_536


class LogStream:
    """Takes whole lines, in order. `write` never waits and never raises; `dropped` counts lines."""

    def __init__(
        self,
        descriptor: int = 1,
        *,
        most_waiting_bytes: int = MOST_WAITING_BYTES,
        tell_dropped: Callable[[int], bytes] | None = None,
    ) -> None:
        """`tell_dropped` makes the line that is written when writing works again and lines were dropped before."""
        self._descriptor = descriptor
        self._most = most_waiting_bytes
        self._tell_dropped = tell_dropped
        self._told = 0
        self._waiting: list[bytes] = []
        self._size = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="log-stream", daemon=True)
        self._thread.start()

    def write(self, lines: bytes) -> int:
        """Take whole lines, or drop them all where too much waits; the result is only what files give."""
        with self._lock:
            if self._size + len(lines) > self._most or not self._thread.is_alive():
                self.dropped += lines.count(b"\n")
                return len(lines)
            self._waiting.append(lines)
            self._size += len(lines)
        if not self._wake.is_set():
            self._wake.set()
        return len(lines)

    def flush(self) -> None:
        """Do nothing: what was taken is on its way."""

    def close(self, seconds: float = 1.0) -> bool:
        """Write what waits, for at most so many seconds; False where that was not enough."""
        self._closing.set()
        self._wake.set()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            with self._lock:
                lines, self._waiting = self._waiting, []
            if lines:
                self._write_out(b"".join(lines))
            if self._closing.is_set() and not self._waiting:
                return
            self._closing.wait(REST_SECONDS)

    def _write_out(self, data: bytes) -> None:
        try:
            if self._tell_dropped is not None and self.dropped > self._told:
                told = self.dropped
                self._put(self._tell_dropped(told - self._told))
                self._told = told
            self._put(data)
        except OSError:  # nobody reads any more, or the disk is full; the next lines may fare better
            with self._lock:
                self.dropped += data.count(b"\n")
        finally:
            with self._lock:
                self._size -= len(data)

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest[:_CHUNK_BYTES]) :]
            except BlockingIOError:  # somebody else made the shared descriptor non-blocking
                if self._closing.is_set():
                    raise
                with contextlib.suppress(ValueError):
                    select.select([], [self._descriptor], [], 1.0)
