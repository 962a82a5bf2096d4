"""Who takes part: a queue of its own kind, and one worker process that runs no-op jobs from it."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import psutil

from tests.bench.machine import application_core, family
from tests.bench.machinery import Machinery


class Contender(Protocol):
    """One queue. A turn: `empty`, `start`, some jobs, `freeze`, `fill`, `thaw`, and `left` until there are none."""

    name: str
    other: bool
    """Not ours."""
    machinery: Machinery

    @property
    def pid(self) -> int:
        """The worker's process number."""

    def empty(self) -> None:
        """Begin anew; there is no worker."""

    def start(self) -> None:
        """Start the worker."""

    def fill(self, jobs: int) -> None:
        """Enqueue so many by its own means; they are kept when this returns, and its tables analysed."""

    def left(self) -> bool:
        """Tell whether there are jobs that are not done and recorded; costs the server next to nothing."""

    def recorded(self) -> tuple[int, ...]:
        """Count what is recorded as done since it was empty, wherever it is recorded."""

    def freeze(self) -> None:
        """Stop the worker where it is, so that it has all the jobs before it at once."""

    def thaw(self) -> None:
        """Let it go on."""

    def stop(self) -> None:
        """End the worker. Safe to repeat."""

    def close(self) -> None:
        """Look no more."""


class Worker(Contender):
    """What all of them have in common: the process."""

    def __init__(self, name: str, machinery: Machinery, folder: Path, *, other: bool) -> None:
        self.name = name
        self.other = other
        self.machinery = machinery
        self.log = folder / f"{name.replace(' ', '-').replace(',', '')}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-3000:]
        return self._process.pid

    def run(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        """Start the worker's process on the core of the application."""
        assert self._process is None
        with application_core(), self.log.open("wb") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)

    def freeze(self) -> None:
        for process in family(self.pid):
            process.suspend()

    def thaw(self) -> None:
        for process in reversed(family(self.pid)):
            process.resume()

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        everybody = family(process.pid)
        for one in everybody:
            one.resume()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        for one in everybody[1:]:
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue


def clean(more: Mapping[str, str]) -> dict[str, str]:
    """Give the environment without anything that would set somebody up."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPSCONNECT_", "OTEL_", "DBOS"))}
    return kept | dict(more)


class Look:
    """A connection that stays, so that looking costs no connecting."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._connection = self._runner.run(asyncpg.connect(url))

    def row(self, query: str, *values: object) -> tuple[Any, ...]:
        """Give the one row of a query."""
        return tuple(self._runner.run(self._connection.fetch(query, *values))[0])

    def run(self, *statements: str) -> None:
        """Run statements, each in a transaction of its own."""
        for statement in statements:
            self._runner.run(self._connection.execute(statement))

    def close(self) -> None:
        """Hang up."""
        self._connection.terminate()
        self._runner.close()
