"""What is measured, each as a process on a core of its own; here the two yardsticks, `opsconnect.py` has the rest."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
import psutil

from app.infra.garbage import COLLECT_AFTER_OBJECTS
from tests.bench.database import Database
from tests.bench.load import NOTHING, SECRET
from tests.bench.machine import application_core
from tests.bench.sink import Sink
from tests.conftest import Servers
from tests.e2e.api import CLIENT, free_port, until

L0, NAIVE = "L0", "naive"


@dataclass(frozen=True, slots=True)
class Counted:
    """What OpsConnect says of itself since it started (`/metrics`)."""

    accepted: int = 0
    others: int = 0
    """Requests with any other outcome."""
    flushes: int = 0
    flushed_rows: int = 0
    spans_dropped: int = 0

    def since(self, before: "Counted") -> "Counted":
        """Count what came after that."""
        return Counted(
            self.accepted - before.accepted,
            self.others - before.others,
            self.flushes - before.flushes,
            self.flushed_rows - before.flushed_rows,
            self.spans_dropped - before.spans_dropped,
        )


class Variant(Protocol):
    """One process that answers webhooks."""

    name: str
    port: int
    pid: int

    def empty(self) -> None:
        """Make each round begin alike."""

    def counted(self) -> Counted | None:
        """Give its own figures; None where it has none."""

    def rows(self) -> tuple[int, ...]:
        """Count the rows of each table that has one for each request since `empty`; nothing where there is none."""

    def spans_arrived(self) -> int:
        """Count its spans at the sink since the start."""

    def stop(self) -> None:
        """End it; its last spans are out then. Safe to repeat."""


class Alone(Variant):
    """A program of `tests.bench` on bare uvicorn; by itself L0: what uvicorn leaves to anyone."""

    def __init__(self, folder: Path, name: str = L0, module: str = "echo", more: Mapping[str, str] = NOTHING) -> None:
        self.name = name
        self.port = free_port()
        self._log = folder / f"{module}.log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OPSCONNECT_", "OTEL_"))}
        with application_core(), self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"tests.bench.{module}", str(self.port)],
                env=clean | {"BENCH_COLLECT_AFTER": str(COLLECT_AFTER_OBJECTS)} | dict(more),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.pid = self._process.pid
        try:
            until(self._answers, 20, what=f"an answer of {name}")
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()[-3000:]
        try:
            return CLIENT.get(f"http://127.0.0.1:{self.port}/health").status_code in {200, 202}
        except httpx.TransportError:
            return False

    def empty(self) -> None:
        """Begin a new log: there is nothing else."""
        os.truncate(self._log, 0)

    def counted(self) -> Counted | None:
        """It counts nothing."""
        return None

    def rows(self) -> tuple[int, ...]:
        """It keeps nothing."""
        return ()

    def spans_arrived(self) -> int:
        """It has none."""
        return 0

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(20)


class Naive(Alone):
    """What a common team writes: `naive.py`."""

    def __init__(self, servers: Servers, folder: Path, sink: Sink) -> None:
        self._database = Database(servers)
        self._sink = sink
        super().__init__(
            folder,
            NAIVE,
            "naive",
            {
                "BENCH_SECRET": SECRET,
                "DATABASE_URL": self._database.url,
                "REDIS_URL": servers.redis.url(),
                "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint(NAIVE),
            },
        )

    def empty(self) -> None:
        """Truncate its table, checkpoint, and begin a new log."""
        super().empty()
        self._database.run("TRUNCATE webhook_events", "CHECKPOINT")

    def rows(self) -> tuple[int, ...]:
        """Count its table."""
        return self._database.row("SELECT count(*) FROM webhook_events")

    def spans_arrived(self) -> int:
        """Ask the sink."""
        return self._sink.spans(NAIVE)


def resident_megabytes(pid: int) -> float:
    """Give the most memory that a process ever had at once, or has now where the system does not say."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return float(psutil.Process(pid).memory_info().rss) / 1e6
