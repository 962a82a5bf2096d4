"""What makes spans of records; the SDK's recorder and the one that makes none pass the same tests."""

from abc import abstractmethod
from typing import Literal, Protocol

from app.adapters.telemetry.trace_context import UnrecordedTrace, remote, unrecorded
from app.core.ports.telemetry import Delivery, Trace

Incoming = Literal["link", "parent"]


class Recorder(Protocol):
    """Opens the trace of a request, and makes its spans afterwards, all at once."""

    @abstractmethod
    def start(self, method: str, traceparent: str | None, tracestate: str | None, started_ns: int) -> Trace:
        """Open a trace; see `Telemetry.start`."""

    @abstractmethod
    def record(self, delivery: Delivery) -> None:
        """Make the spans of an answered request, and of its flush, whose `recorded` is a `Seen`, if not yet made."""


class Seen:
    """The note on a flush that its metrics are counted, and which span it has."""

    __slots__ = ("span",)

    def __init__(self) -> None:
        self.span: object = None
        """The recorder's own; None until a request of the flush is recorded."""


class NoSpans(Recorder):
    """Trace ids and nothing else."""

    def __init__(self, incoming: Incoming = "link") -> None:
        self._continues = incoming == "parent"

    def start(self, method: str, traceparent: str | None, tracestate: str | None, started_ns: int) -> UnrecordedTrace:
        """Give random ids, or the sender's where those are continued."""
        return unrecorded(remote(traceparent)) if self._continues else unrecorded()

    def record(self, delivery: Delivery) -> None:
        """Make nothing."""
