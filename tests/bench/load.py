"""Load by wrk: signed webhooks with ids that never repeat."""

import hmac
import json
import os
import subprocess
from dataclasses import dataclass
from itertools import count
from pathlib import Path

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


def send(port: int, *, seconds: int, connections: int) -> Load:
    """Send as fast as the answers come, for so long."""
    signature = hmac.digest(SECRET.encode(), BODY, "sha256").hex()
    environment = os.environ | {
        "BENCH_HEAD": f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(BODY)}\r\nUser-Agent: bench\r\nX-Signature: sha256={signature}\r\nX-Delivery-Id: ",
        "BENCH_RUN": str(next(_runs)),
        "BENCH_TAIL": f"\r\n\r\n{BODY.decode()}",
    }
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    done = subprocess.run(
        [*command, "--timeout", "5s", "--script", str(_SCRIPT), f"http://127.0.0.1:{port}{PATH}"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout.strip().splitlines()[-1])
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
