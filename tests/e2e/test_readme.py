"""The README's walk, run as it stands against the real `opsconnect dev`; and how `dev` starts, refuses and ends."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from app.infra.embedded import EmbeddedServers, running
from app.infra.embedded.process import is_alive
from tests.e2e import commands
from tests.e2e.api import CLIENT, ROOT, free_port, until
from tests.otlp_receiver import otlp_receiver

READY_SECONDS = 30.0

needs_a_shell = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")),
    reason="people paste the README's lines where curl and openssl are",
)

# What a person pastes, and what they see then. Blocks without an answer are not run.
STEP = re.compile(r"^```sh\n(?P<lines>(?:(?!```).*\n)+)```\n\n```text\n(?P<answer>(?:(?!```).*\n)+)```$", re.MULTILINE)
EVENT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DIFFERENT_EACH_TIME = [
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"sha256=[0-9a-f]{64}"), "SIGNATURE"),
    (re.compile(r'(?<="trace_id":")[0-9a-f]{32}'), "TRACE"),
    (re.compile(r"curl/[\w.-]+"), "CURL"),
    (re.compile(r"\s+"), ""),
]


@dataclass
class Dev:
    """`opsconnect dev` in a folder of its own, as if that were the clone."""

    folder: Path
    more: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    forked: bool = True
    """From a process that has imported everything, which is quicker."""
    process: "subprocess.Popen[bytes] | commands.Forked | None" = None

    @property
    def environment(self) -> dict[str, str]:
        """What it, and commands beside it, find in their environment."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OPSCONNECT_", "OTEL_"))}
        return {**clean, "PYTHONPATH": str(ROOT), "OTEL_SDK_DISABLED": "true", **self.more}

    @property
    def said(self) -> str:
        """Its terminal."""
        return (self.folder / "terminal.log").read_text()

    def start(self) -> EmbeddedServers:
        """Start it, and wait until it is ready; give the servers that it runs."""
        arguments = ["dev", "--port", str(self.port)]
        with (self.folder / "terminal.log").open("ab") as terminal:
            if self.forked:
                out = terminal.fileno()
                self.process = commands.Forked(arguments, self.environment, self.folder, out, out)
            else:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "app", *arguments],
                    env=self.environment,
                    cwd=self.folder,
                    stdout=terminal,
                    stderr=subprocess.STDOUT,
                )
        until(self._is_healthy, READY_SECONDS, "health")
        servers = running(self.folder / ".opsconnect")
        assert servers is not None
        return servers

    def _is_healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.said[-3000:]
        try:
            return CLIENT.get(f"http://127.0.0.1:{self.port}/api/v1/health", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> int:
        """End it as a supervisor does, and give the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def duplicates(self) -> int:
        """How many deliveries it has counted as repeated."""
        events = CLIENT.get(f"http://127.0.0.1:{self.port}/api/v1/events", timeout=10).json()["items"]
        return sum(int(event["duplicates"]) for event in events)

    def pasted(self, lines: str) -> str:
        """Paste lines of the README into a shell beside it, and give what they print; only the port differs."""
        lines = lines.replace(":8000", f":{self.port}")
        command = ["sh", "-c", lines]
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), f"{lines}\n{done.stderr}"
        return done.stdout.replace(f":{self.port}", ":8000")

    def refused(self, *arguments: str) -> list[str]:
        """Start another one that is to refuse; give its lines."""
        done = commands.run(["dev", *arguments], environment=self.environment, folder=self.folder, seconds=30)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr.splitlines()


@contextmanager
def developing(folder: Path, *, forked: bool = True, **more: str) -> Iterator[Dev]:
    """Have a folder with what `make dev` installs into it; whatever runs there ends with the test."""
    command = folder / ".venv" / "bin" / "opsconnect"
    command.parent.mkdir(parents=True, exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m app "$@"\n')
    command.chmod(0o755)
    dev = Dev(folder, more, forked=forked)
    try:
        yield dev
    finally:
        if dev.process is not None and dev.process.poll() is None:
            dev.process.kill()
            dev.process.wait(10)


class Compared:
    """A text without what differs each time; event ids are numbered as they appear, so that who is who still counts."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str) -> str:
        text = EVENT_ID.sub(lambda found: f"EVENT-{self._numbers.setdefault(found[0], len(self._numbers))}", text)
        for pattern, name in DIFFERENT_EACH_TIME:
            text = pattern.sub(name, text)
        return text


@pytest.fixture
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text()


@needs_a_shell
def test_the_walk_works_as_it_stands(readme: str, tmp_path: Path) -> None:
    """Every block that shows an answer, one after the other; then the trace is as it is drawn, and all of it ends."""
    steps = list(STEP.finditer(readme))
    assert len(steps) == 8
    promised, seen = Compared(), Compared()
    with otlp_receiver() as collector:
        exporting = {"OTEL_SDK_DISABLED": "false", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with developing(tmp_path, forked=False, **exporting) as dev:
            servers = dev.start()
            for step in steps:
                answer = dev.pasted(step["lines"])
                assert seen(answer) == promised(step["answer"]), answer
                if '"duplicate"' in answer:  # counted within a second, which a person takes to read on
                    until(lambda: dev.duplicates() == 1, 5, "the count")
            assert dev.stop() == 0
            assert_gone(servers, tmp_path)
    drawn = re.findall(r"^[├└]── ([a-z ]+?)(?:  | ── )", readme, re.MULTILINE)
    assert drawn == ["verify", "idempotency lock", "append"]
    roots = {span.trace_id: span for span in collector.spans if span.name == "POST /api/v1/webhooks/{source}"}
    accepted = next(trace for trace, root in roots.items() if root.attributes["opsconnect.outcome"] == "accepted")
    children = sorted(
        (s for s in collector.spans if s.trace_id == accepted and s.parent_id), key=lambda s: s.started_ns
    )
    assert [child.name for child in children] == drawn
    batches = {(span.trace_id, span.span_id) for span in collector.spans if span.name == "INSERT events"}
    assert set(children[-1].links) <= batches
    assert "── link ──▶ INSERT events" in readme


@needs_a_shell
def test_what_it_prints_at_the_start_can_be_pasted_too(tmp_path: Path) -> None:
    """Its own lines: a lead, a signed webhook with the right signature, and the list."""
    with developing(tmp_path) as dev:
        dev.start()
        lead, signed, listed = (
            dev.pasted(line.strip()) for line in dev.said.splitlines() if line.lstrip().startswith("curl")
        )
        assert '"status":"accepted"' in lead
        assert '"status":"accepted"' in signed
        states = re.findall(r'"state":"(\w+)"', listed)
        assert len(states) == 2
        assert set(states) <= {"received", "discarded"}, "as far as the worker has got"


@needs_a_shell
def test_a_second_start_on_the_same_folder_finds_the_events_again(tmp_path: Path) -> None:
    """The secret of `demo` too, and a repetition of what came before is still a duplicate."""
    with developing(tmp_path) as dev:
        first = dev.start()
        before, signed = events_and_signed(dev)
        assert dev.stop() == 0
        assert_gone(first, tmp_path)
        second = dev.start()
        assert second.postgres_pid != first.postgres_pid
        after, again = events_and_signed(dev)
        assert [event["id"] for event in after] == [event["id"] for event in before]
        assert (signed["status"], again["status"]) == ("accepted", "duplicate")
        assert again["event_id"] == signed["event_id"]
        assert dev.stop() == 0


def events_and_signed(dev: Dev) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Send the signed webhook that it printed last, and list what is kept then."""
    line = [line for line in dev.said.splitlines() if "X-Signature" in line][-1]
    answer: dict[str, str] = json.loads(dev.pasted(line.strip()))
    return CLIENT.get(f"http://127.0.0.1:{dev.port}/api/v1/events", timeout=10).json()["items"], answer


def test_a_taken_port_is_said_in_one_line(tmp_path: Path) -> None:
    """Before anything else is started or made."""
    with developing(tmp_path) as dev, socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        lines = dev.refused("--port", str(port))
    assert lines == [
        f"error  127.0.0.1:{port}: cannot be listened on: Address already in use. Choose another with --port"
    ]
    assert not (tmp_path / ".opsconnect").exists()


def test_without_a_key_only_this_machine_is_served(tmp_path: Path) -> None:
    with developing(tmp_path) as dev:
        (line,) = dev.refused("--host", "0.0.0.0", "--port", str(dev.port))
    assert line.startswith("error  OPSCONNECT_ADMIN_KEY: is not set: the API would be open to everybody.")
    assert not (tmp_path / ".opsconnect").exists()


def test_a_folder_that_is_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    """And the one who uses it goes on."""
    with developing(tmp_path) as dev:
        dev.start()
        (line,) = dev.refused("--port", str(free_port()))
        assert line.startswith(f"error  {tmp_path / '.opsconnect'} is in use by another OpsConnect")
        assert dev.stop() == 0


def assert_gone(servers: EmbeddedServers, folder: Path) -> None:
    """Neither server runs, and no command finds one."""
    pids = [pid for pid in (servers.postgres_pid, servers.redis_pid) if pid]
    assert len(pids) == 2
    assert [pid for pid in pids if is_alive(pid)] == []
    assert running(folder / ".opsconnect") is None
