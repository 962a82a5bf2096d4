"""What runs beside the variants, for all of them: servers and the sink of spans."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.sink import Sink
from tests.conftest import Servers, run_servers


@dataclass(frozen=True, slots=True)
class Machinery:
    """Postgres and a Redis-compatible server, and where spans go."""

    servers: Servers
    sink: Sink


@contextmanager
def run_machinery(folder: Path) -> Iterator[Machinery]:
    """Start it all, and end it."""
    with contextmanager(run_servers)(folder / "data") as servers:
        sink = Sink()
        try:
            yield Machinery(servers, sink)
        finally:
            sink.stop()
