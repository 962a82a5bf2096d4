"""The real `opsconnect worker`, as a process of its own that can be killed, frozen and thawed."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.api import Api

PACE = {
    "OPSCONNECT_WORKER_LEASE_SECONDS": "3",
    "OPSCONNECT_WORKER_HEARTBEAT_SECONDS": "0.5",
    "OPSCONNECT_WORKER_STOP_BEFORE_SECONDS": "1",
    "OPSCONNECT_WORKER_RESCUE_SECONDS": "0.5",
    "OPSCONNECT_WORKER_POLL_SECONDS": "0.2",
    "OPSCONNECT_WORKER_DRAIN_SECONDS": "1",
    "OPSCONNECT_RETRY_FIRST_SECONDS": "0.1",
    "OPSCONNECT_DRAIN_TELEMETRY_SECONDS": "1",
}
"""Everything ten times as quick as by default."""


class Worker(Api):
    """One working process."""

    @property
    def arguments(self) -> list[str]:
        """What `opsconnect` is told to do."""
        return ["worker"]

    @property
    def environment(self) -> dict[str, str]:
        """The same as for an API, but for the pace."""
        return {**super().environment, **PACE, **self.more}

    def _is_ready(self) -> bool:
        assert not self.ended, self.log.read_text()[-3000:]
        return bool(self.lines("start.working"))

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """End it without a word."""
        self.stop(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it stand still."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


def make_worker(database_url: str, folder: Path, name: str = "worker", **more: str) -> Worker:
    """Make one with a log of its own; it is not started."""
    return Worker(database_url, None, folder / f"{name}.log", more=more, forked=True)


@contextmanager
def working(database_url: str, folder: Path, name: str = "worker", **more: str) -> Iterator[Worker]:
    """Run a worker for a while."""
    worker = make_worker(database_url, folder, name, **more)
    try:
        yield worker.start()
    finally:
        worker.kill()
