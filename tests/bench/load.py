"""Load by wrk: signed webhooks with ids that never repeat."""

import hmac
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, str] = MappingProxyType({})
SECRET = "a secret of the benchmark"
SOURCE = {
    "name": "bench",
    "provider": "hmac",
    "verify": {"header": "X-Signature", "prefix": "sha256="},
    "delivery_key": "header:X-Delivery-Id",
    "secrets": ["env:BENCH_SECRET"],
}
PATH = "/api/v1/webhooks/bench"
BODY = b'{"type":"invoice.paid","amount":4200,"note":"%s"}' % (b"x" * 977)  # 1 KB

_SCRIPT = Path(__file__).with_name("load.lua")
_PACED_SCRIPT = Path(__file__).with_name("flood.lua")
_runs = count(1)


@dataclass(frozen=True, slots=True)
class Load:
    """What the senders saw; times in milliseconds."""

    connections: int
    requests: int
    seconds: float
    errors: int
    """Connections refused or broken, and answers that never came."""
    refused: int
    """Answers of 400 and above."""
    p50: float
    p99: float
    slowest: float

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class Flood:
    """What the senders of a flood saw."""

    seconds: float
    statuses: Mapping[int, int]
    """Answers by status."""
    without_retry_after: int
    """Of those with 429 or 503."""
    unsent: int
    """For want of a connection that was not waiting."""
    broken: int
    """Connections refused or reset."""
    late: int
    """Answers that took more than five seconds."""

    @property
    def answers(self) -> int:
        """All of them."""
        return sum(self.statuses.values())


def send(port: int, *, seconds: int, connections: int) -> Load:
    """Send as fast as the answers come, for so long."""
    said = wrk(_SCRIPT, port, seconds=seconds, connections=connections)
    return Load(
        connections,
        said["requests"],
        said["microseconds"] / 1e6,
        said["errors"],
        said["refused"],
        said["p50"] / 1000,
        said["p99"] / 1000,
        said["slowest"] / 1000,
    )


def flood(port: int, *, seconds: int, connections: int, per_second: float) -> Flood:
    """Send so many a second, whatever the answers are, as long as there is a connection that does not wait for one."""
    said = wrk(
        _PACED_SCRIPT,
        port,
        seconds=seconds,
        connections=connections,
        # The senders of a real flood are elsewhere, and take no time from Postgres and Redis.
        before=("nice", "-n", "5"),
        more={"BENCH_LOAD": str(_SCRIPT), "BENCH_RATE": str(per_second)},
    )
    return Flood(
        seconds=said["microseconds"] / 1e6,
        statuses={int(status): number for status, number in said["statuses"].items()},
        without_retry_after=said["hasty"],
        unsent=said["unsent"],
        broken=said["broken"],
        late=said["late"],
    )


def wrk(
    script: Path,
    port: int,
    *,
    seconds: int,
    connections: int,
    before: Sequence[str] = (),
    more: Mapping[str, str] = NOTHING,
) -> dict[str, Any]:
    """Run wrk with a script; give what the script prints at the end."""
    signature = hmac.digest(SECRET.encode(), BODY, "sha256").hex()
    environment = {
        "BENCH_HEAD": f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(BODY)}\r\nUser-Agent: bench\r\nX-Signature: sha256={signature}\r\nX-Delivery-Id: ",
        "BENCH_RUN": str(next(_runs)),
        "BENCH_TAIL": f"\r\n\r\n{BODY.decode()}",
    }
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    done = subprocess.run(
        [*before, *command, "--timeout", "5s", "--script", str(script), f"http://127.0.0.1:{port}{PATH}"],
        env=os.environ | environment | dict(more),
        capture_output=True,
        text=True,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return said
