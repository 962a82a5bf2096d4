"""The log of a test, written by the very set-up of production into a file."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import structlog

from app.infra.logs import Level, Logs, set_up_logs


@dataclass
class Log:
    """What was logged."""

    logs: Logs
    path: Path

    def text(self) -> str:
        """Everything so far; ends the log."""
        assert self.logs.close(5.0)
        return self.path.read_text()

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The lines so far, of one event or of all; ends the log."""
        lines = [json.loads(line) for line in self.text().splitlines()]
        return [line for line in lines if name in {None, line["event"]}]


@contextmanager
def logged(
    path: Path, *, environment: Literal["dev", "production"] = "production", level: Level = "debug"
) -> Iterator[Log]:
    """Send the log of this process to a file, and put everything back afterwards."""
    root = logging.getLogger()
    before, least = list(root.handlers), root.level
    root.handlers.clear()  # pytest's own would raise where ours must not
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    logs = set_up_logs(environment=environment, level=level, descriptor=descriptor)
    try:
        yield Log(logs, path)
    finally:
        logs.close(5.0)
        os.close(descriptor)
        root.handlers[:] = before
        root.setLevel(least)
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
