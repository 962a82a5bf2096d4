"""The machine under the benchmark: which core does what, and whether somebody else is using it."""

import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import psutil

APPLICATION_CORE = 0
LOOK_SECONDS = 0.3
_DISTRIBUTIONS = ("uvicorn", "uvloop", "httptools", "fastapi", "asyncpg", "redis", "opentelemetry-sdk", "opsconnect")


def end_what_we_started() -> None:
    """Let SIGTERM end this process by an exception, so that nothing we started outlives us."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def keep_off_the_application_core() -> None:
    """Put this process, and whatever it starts from now on, onto the other cores."""
    if can_pin():
        os.sched_setaffinity(0, os.sched_getaffinity(0) - {APPLICATION_CORE})


@contextmanager
def application_core() -> Iterator[None]:
    """What is started inside has the application's core to itself."""
    if not can_pin():
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {APPLICATION_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def can_pin() -> bool:
    """Whether there are two cores, and a system that lets us choose."""
    return hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) >= 2


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it has started."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(processes: list[psutil.Process], *, with_ended: bool = True) -> float:
    """CPU that they have used, by default together with that of their children which have ended."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        total += times.user + times.system
        if with_ended:
            total += times.children_user + times.children_system
    return total


class Stranger(NamedTuple):
    """A process that is not ours."""

    parent: int
    own: float
    """CPU seconds since its start."""
    ended: float
    """Those of its children which have ended."""


def strangers() -> dict[int, Stranger]:
    """Look at everybody else, by process number."""
    ours = {process.pid for process in family(os.getpid())}
    seen = {}
    for process in psutil.process_iter():
        if process.pid in ours:
            continue
        try:
            with process.oneshot():
                times, parent = process.cpu_times(), process.ppid()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        seen[process.pid] = Stranger(parent, times.user + times.system, times.children_user + times.children_system)
    return seen


def used_by(before: Mapping[int, Stranger], after: Mapping[int, Stranger]) -> float:
    """CPU seconds that they used between two looks, those included that ended in between.

    What one that ended had used before the first look comes back in the figures of whoever among its forebears is still
    there, and is taken off again.
    """
    known: defaultdict[int, float] = defaultdict(float)
    for pid in before.keys() - after.keys():
        heir = before[pid].parent
        while heir in before and heir not in after:
            heir = before[heir].parent
        known[heir] += before[pid].own + before[pid].ended
    nobody = Stranger(0, 0.0, 0.0)
    return sum(
        max(now.own - before.get(pid, nobody).own, 0.0)
        + max(now.ended - before.get(pid, nobody).ended - known[pid], 0.0)
        for pid, now in after.items()
    )


def wait_until_quiet(most: float, patience: float) -> None:
    """Wait until others use less than `most` cores, but no longer than `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        started, before = time.monotonic(), strangers()
        time.sleep(LOOK_SECONDS)
        used = used_by(before, strangers()) / (time.monotonic() - started)
        if used <= most or time.monotonic() >= deadline:
            return


def fsync_milliseconds(folder: Path) -> float:
    """What one durable write of a page costs on this disk: the median of many."""
    taken = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(200):
            file.write(b"x" * 8192)
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


def description(redis: str) -> dict[str, Any]:
    """Say what was measured on: machine and versions. `redis` is the server program."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "pinned": can_pin(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in _DISTRIBUTIONS},
        "redis-server": _said(redis, "--version"),
        "wrk": _said("wrk", "--version").partition(" [")[0],
        "commit": _said("git", "describe", "--always", "--dirty"),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    except OSError:
        return ""
    return done.stdout.partition("\n")[0].strip()


def check_pinning(processes: Mapping[str, int]) -> None:
    """Make sure that every thread of an application process runs where it was put."""
    if not can_pin():
        return
    for name, pid in processes.items():
        for thread in psutil.Process(pid).threads():
            assert os.sched_getaffinity(thread.id) == {APPLICATION_CORE}, name
