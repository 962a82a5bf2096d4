"""Owners of embedded servers in processes of their own: to be killed, or run as somebody else."""

import contextlib
import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg

from app.infra.embedded import EmbeddedServers, process

ROOT = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0
_OWNER = """
import json, signal, sys
# A shell that runs these tests in the background lets its children ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
from dataclasses import asdict
from pathlib import Path
from app.infra.embedded import EmbeddedError, start
try:
    with start(Path(sys.argv[1])) as servers:
        print(json.dumps(asdict(servers)), flush=True)
        sys.stdin.read()
except EmbeddedError as problem:
    print(json.dumps({"error": str(problem)}), flush=True)
    sys.exit(1)
except KeyboardInterrupt:
    sys.exit(130)
"""


class Owner:
    """Another process that starts the servers on a folder and keeps them until its standard input ends."""

    def __init__(self, data_dir: Path, popen: Mapping[str, Any] | None = None, prefix: list[str] | None = None):
        self.process = subprocess.Popen(
            [*(prefix or []), sys.executable, "-c", _OWNER, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            start_new_session=True,
            **(popen or {}),
        )

    def said(self) -> dict[str, Any]:
        """Its one line: the servers, or the error."""
        assert self.process.stdout
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def servers(self) -> EmbeddedServers:
        """Its servers, once they are ready."""
        return EmbeddedServers(**self.said())

    def end(self, number: signal.Signals | None = None) -> int:
        """Let it end by a signal to its whole group, or by the end of its input; its exit status."""
        assert self.process.stdin
        assert self.process.stdout
        if number is not None:
            os.killpg(self.process.pid, number)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        status = self.process.wait(20)
        self.process.stdout.close()
        return status


@contextlib.contextmanager
def owner(data_dir: Path, **how: Any) -> Iterator[Owner]:
    """An owner that is gone at the end of the block, however it went."""
    one = Owner(data_dir, **how)
    try:
        yield one
    finally:
        one.end()


@contextlib.contextmanager
def ordinary_user() -> Iterator[tuple[Path, dict[str, Any]]]:
    """A folder that belongs to a user without any power, and how to start an `Owner` as that user.

    As root this is `nobody`, or where that one cannot reach Python, root's own user in a namespace, without
    its powers.
    """
    with tempfile.TemporaryDirectory(prefix="opsconnect-test-") as name:
        place = Path(name)
        if not IS_ROOT:
            yield place, {}
            return
        nobody = pwd.getpwnam("nobody")
        popen: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        if _runs_python(popen):
            os.chown(place, nobody.pw_uid, nobody.pw_gid)
            yield place, {"popen": popen}
        else:
            launch = [sys.executable, str(Path(process.__file__).with_name("launch.py"))]
            yield place, {"prefix": [*launch, str(os.getpid()), str(int(signal.SIGTERM)), "namespace"]}


def _runs_python(popen: dict[str, Any]) -> bool:
    try:
        probe = [sys.executable, "-c", "import app.infra.embedded"]
        return subprocess.run(probe, cwd=ROOT, capture_output=True, check=False, **popen).returncode == 0
    except PermissionError:
        return False


async def ask(url: str, question: str) -> Any:
    """One value from Postgres."""
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def wait_until(what: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for a condition; fail when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def all_gone(*pids: int | None) -> bool:
    """Whether none of these processes runs (within a few seconds)."""
    return not process.wait_until_gone([pid for pid in pids if pid], 10.0)
