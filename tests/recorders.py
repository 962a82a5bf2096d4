"""Every recorder there is, behind the port and in front of a real collector."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from app.adapters.telemetry.canonical_log import CanonicalLog
from app.adapters.telemetry.intake import RecordedIntake
from app.adapters.telemetry.metrics import IntakeMetrics
from app.adapters.telemetry.recorder import Incoming
from app.adapters.telemetry.tracing import Tracing, open_tracing
from tests.otlp_receiver import OtlpReceiver, Received, otlp_receiver

RECORDERS: dict[str, Callable[[Incoming], Tracing]] = {
    "compact": lambda incoming: open_tracing(version="1.2.3", incoming=incoming, recorder="compact"),
    "sdk": lambda incoming: open_tracing(version="1.2.3", incoming=incoming, recorder="sdk"),
}


@dataclass
class Bench:
    """A recorder under test: the port in front, a collector behind."""

    open_tracing: Callable[[Incoming], Tracing]
    receiver: OtlpReceiver
    opened: list[Tracing] = field(default_factory=list)
    metrics: IntakeMetrics = field(default_factory=lambda: IntakeMetrics(version="1.2.3"))

    def telemetry(self, incoming: Incoming = "link") -> RecordedIntake:
        """What the container would build. Variables of the environment are read now."""
        self.opened.append(self.open_tracing(incoming))
        return RecordedIntake(self.opened[-1].recorder, self.metrics, CanonicalLog(lambda _: None))

    def spans(self, telemetry: RecordedIntake) -> list[Received]:
        """Everything that was recorded, once all of it is exported."""
        telemetry.drain()
        for tracing in self.opened:
            assert tracing.shutdown(10.0)
        self.opened.clear()
        return self.receiver.spans


@contextmanager
def bench_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """One recorder, told by the environment where its collector is."""
    with otlp_receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        bench = Bench(RECORDERS[name], receiver)
        yield bench
        for tracing in bench.opened:
            tracing.shutdown(5.0)
