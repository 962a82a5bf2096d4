"""The real `opsconnect serve`, as a process of its own, and what it says and answers."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from tests.e2e import commands

ADMIN_KEY = "an-admin-key-of-the-tests"
ROOT = Path(__file__).parent.parent.parent
READY_SECONDS = 20.0
# One for all: each would read the certificates of the world anew. No connection is kept: the other end gets killed.
CLIENT = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=10)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], Any], seconds: float = 10.0, what: str = "the condition") -> Any:
    """Wait until something holds; give what it gave."""
    deadline = time.monotonic() + seconds
    while True:
        if result := condition():
            return result
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        time.sleep(0.02)


@dataclass
class Api:
    """One serving process."""

    database_url: str
    redis_url: str | None
    log: Path
    port: int = field(default_factory=free_port)
    more: dict[str, str] = field(default_factory=dict)
    listener: socket.socket | None = None
    """A listening socket to be handed over, which only a forked process takes."""
    said_before: int = 0
    """How much of the log belongs to earlier stories, in bytes."""
    forked: bool = False
    """From a process that has imported everything, which is quicker."""
    process: "subprocess.Popen[bytes] | commands.Forked | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What the process, and commands beside it, find in their environment."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OPSCONNECT_", "OTEL_"))}
        own = {
            "OPSCONNECT_DATABASE_URL": self.database_url,
            "OPSCONNECT_ADMIN_KEY": ADMIN_KEY,
            "OPSCONNECT_DRAIN_ANNOUNCE_SECONDS": "0",
            "OTEL_SDK_DISABLED": "true",
            "PYTHONPATH": str(ROOT),
        }
        if self.redis_url:
            own["OPSCONNECT_REDIS_URL"] = self.redis_url
        return {**clean, **own, **self.more}

    @property
    def arguments(self) -> list[str]:
        """What `opsconnect` is told to do."""
        return ["serve", *([] if self.listener else ["--port", str(self.port)])]

    def start(self, *, wait: bool = True) -> Self:
        """Start it, and wait until it is ready."""
        with self.log.open("ab") as log:
            if self.forked:
                self.process = commands.Forked(
                    self.arguments,
                    self.environment,
                    self.log.parent,
                    log.fileno(),
                    log.fileno(),
                    listener=None if self.listener is None else self.listener.fileno(),
                )
            else:
                assert self.listener is None
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "app", *self.arguments],
                    env=self.environment,
                    cwd=self.log.parent,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
        if wait:
            until(self._is_ready, READY_SECONDS, f"readiness ({self.log.read_text()[-2000:]})")
        return self

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            return CLIENT.get(f"{self.url}/api/v1/health/ready", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self.process is not None and self.process.poll() is not None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and give the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(20)

    def get(self, path: str, **more: Any) -> httpx.Response:
        """Ask the operator API."""
        return CLIENT.get(f"{self.url}{path}", headers={"Authorization": f"Bearer {ADMIN_KEY}"}, **more)

    def post(self, path: str, content: bytes | str = b"{}", **headers: str | bytes) -> httpx.Response:
        """Send a webhook; underscores in header names become dashes."""
        named: dict[bytes, bytes] = {
            name.replace("_", "-").encode(): value if isinstance(value, bytes) else value.encode()
            for name, value in headers.items()
        }
        return CLIENT.post(f"{self.url}{path}", content=content, headers=list(named.items()))

    def cli(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run another command beside it."""
        return commands.run(arguments, environment=self.environment, folder=self.log.parent, seconds=60)

    def apply(self, *sources: dict[str, Any]) -> None:
        """Apply sources by the command line, as an operator does."""
        document = self.log.parent / "sources.json"
        document.write_text(json.dumps({"sources": list(sources)}))
        done = self.cli("apply", "-f", str(document))
        assert done.returncode == 0, done.stderr

    def lines(self, event: str) -> list[dict[str, Any]]:
        """What it logged under a name."""
        said = self.log.read_bytes()[self.said_before :].decode()
        records = (json.loads(line) for line in said.splitlines() if line.startswith("{"))
        return [record for record in records if record.get("event") == event]


@contextmanager
def serving(database_url: str, redis_url: str | None, folder: Path, **more: str) -> Iterator[Api]:
    """Run an API for a while."""
    api = Api(database_url, redis_url, folder / "api.log", more=more, forked=True)
    try:
        yield api.start()
    finally:
        if api.process is not None and api.process.poll() is None:
            api.process.kill()
            api.process.wait(10)
