"""CPU time: who used how much of it between two moments."""

import resource
import time
from dataclasses import dataclass
from typing import Any

import psutil

from tests.bench import machine
from tests.bench.machinery import Machinery


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds between two readings, by whom."""

    wall: float
    application: float
    postgres: float
    redis: float
    sink: float
    sender: float
    foreign: float
    stolen: float
    """Taken by the host of a virtual machine."""
    cores_busy: tuple[float, ...]
    """How much of each core was in use, 0 to 1."""


class Clock:
    """A reading of everybody's CPU time; the application goes by its process number."""

    def __init__(self, application: int, machinery: Machinery) -> None:
        servers, sink = machinery.servers, machinery.sink
        self._wall = time.monotonic()
        self._application = machine.cpu_seconds(machine.family(application))
        self._postgres = machine.cpu_seconds(machine.family(servers.postgres.pid))
        self._redis = machine.cpu_seconds(machine.family(servers.redis.pid))
        self._sink = machine.cpu_seconds(machine.family(sink.pid))
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)  # the senders, once they have ended
        self._sender = ended.ru_utime + ended.ru_stime
        self._strangers = machine.strangers()
        self._cores = psutil.cpu_times(percpu=True)

    def since(self, before: "Clock") -> Used:
        """Tell what was used since then."""
        return Used(
            wall=self._wall - before._wall,
            application=self._application - before._application,
            postgres=self._postgres - before._postgres,
            redis=self._redis - before._redis,
            sink=self._sink - before._sink,
            sender=self._sender - before._sender,
            foreign=machine.used_by(before._strangers, self._strangers),
            stolen=sum(map(_stolen, self._cores)) - sum(map(_stolen, before._cores)),
            cores_busy=tuple(
                1 - (_idle(core) - _idle(then)) / max(sum(core) - sum(then), 1e-9)
                for core, then in zip(self._cores, before._cores, strict=True)
            ),
        )


def _idle(core: Any) -> float:
    return float(core.idle + getattr(core, "iowait", 0.0))


def _stolen(core: Any) -> float:
    return float(getattr(core, "steal", 0.0))
