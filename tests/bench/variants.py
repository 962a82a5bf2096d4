"""What is measured: the yardstick, and OpsConnect without and with spans, each as a process on a core of its own."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import asyncpg
import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.bench.load import SECRET, SOURCE
from tests.bench.machine import application_core
from tests.bench.sink import Sink
from tests.conftest import Servers
from tests.e2e.api import Api, free_port, until

SPANS_A_REQUEST = 4
"""The server's and three children; the batch's span comes once a flush."""


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
        """Forget everything: each round begins alike."""

    def counted(self) -> Counted | None:
        """Give its own figures; None where it has none."""

    def rows(self) -> tuple[int, int, int]:
        """Count events, delivery keys and inbox rows."""

    def stop(self) -> None:
        """End it."""


class Echo(Variant):
    """L0: what uvicorn leaves to anyone."""

    name = "L0"

    def __init__(self) -> None:
        self.port = free_port()
        with application_core():
            self._process = subprocess.Popen([sys.executable, "-m", "tests.bench.echo", str(self.port)])
        self.pid = self._process.pid
        until(self._answers, what="the yardstick")

    def _answers(self) -> bool:
        try:
            return httpx.post(f"http://127.0.0.1:{self.port}/").status_code == 202
        except httpx.TransportError:
            return False

    def empty(self) -> None:
        """Do nothing: there is nothing."""

    def counted(self) -> Counted | None:
        """It counts nothing."""
        return None

    def rows(self) -> tuple[int, int, int]:
        """It keeps nothing."""
        return 0, 0, 0

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)


class OpsConnect(Variant):
    """The real `opsconnect serve` on a database of its own."""

    def __init__(self, name: str, servers: Servers, folder: Path, sink: Sink | None = None) -> None:
        """Spans go to the sink; without one there are none."""
        self.name = name
        self._servers = servers
        self._database = servers.create_database()
        spans = {
            "OTEL_SDK_DISABLED": "false",
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url if sink else "",
            "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS": ".*",  # our own questions must not be counted
        }
        self._api = Api(
            self._database,
            servers.redis.url(),
            folder / f"{name.replace(' ', '-')}.log",
            more={"BENCH_SECRET": SECRET, **(spans if sink else {})},
        )
        self.port = self._api.port
        self._api.apply(SOURCE)
        try:
            with application_core():
                self._api.start()
        except BaseException:
            self._api.stop(signal.SIGKILL)
            raise
        assert self._api.process is not None
        self.pid = self._api.process.pid

    def empty(self) -> None:
        """Truncate the tables, checkpoint, and begin a new log."""
        os.truncate(self._api.log, 0)
        asyncio.run(self._empty())

    async def _empty(self) -> None:
        connection = await asyncpg.connect(self._superuser_url)
        try:
            await connection.execute("TRUNCATE events, event_states, delivery_keys, inbox, conflicts")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()

    def counted(self) -> Counted:
        """Read `/metrics`."""
        figures: dict[str, float] = {}
        for family in text_string_to_metric_families(self._api.get("/metrics").text):
            for sample in family.samples:
                name = f"{sample.name}/{sample.labels['outcome']}" if "outcome" in sample.labels else sample.name
                figures[name] = figures.get(name, 0) + sample.value
        requests = {name: value for name, value in figures.items() if name.startswith("opsconnect_requests_total/")}
        accepted = requests.get("opsconnect_requests_total/accepted", 0)
        return Counted(
            int(accepted),
            int(sum(requests.values()) - accepted),
            int(figures.get("opsconnect_flush_rows_count", 0)),
            int(figures.get("opsconnect_flush_rows_sum", 0)),
            int(figures.get("opsconnect_spans_dropped_total", 0)),
        )

    def rows(self) -> tuple[int, int, int]:
        """Count them."""
        return asyncio.run(self._rows())

    async def _rows(self) -> tuple[int, int, int]:
        connection = await asyncpg.connect(self._superuser_url)
        try:
            row = await connection.fetchrow(
                "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM delivery_keys),"
                " (SELECT count(*) FROM inbox)"
            )
        finally:
            await connection.close()
        assert row is not None
        return row[0], row[1], row[2]

    @property
    def _superuser_url(self) -> str:
        return self._servers.postgres.superuser_url(self._database.rpartition("/")[2])

    def stop(self) -> None:
        """Drain it; its last spans are out then."""
        self._api.stop()


def resident_megabytes(pid: int) -> float:
    """Give the most memory that a process ever had at once, or has now where the system does not say."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return float(psutil.Process(pid).memory_info().rss) / 1e6
