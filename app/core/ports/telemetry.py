"""Showing what happened to a delivery: one record a request; spans, metrics and a log line are made of it."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol

from app.core.ports.event_store import Flush


class Trace(Protocol):
    """The trace that a request is in, from its first moment."""

    @property
    @abstractmethod
    def trace_id(self) -> str:
        """32 hexadecimal digits."""

    @property
    @abstractmethod
    def traceparent(self) -> str:
        """The W3C context of the request's server span, for work that continues it."""


@dataclass(slots=True)
class Delivery:
    """What happened to one webhook request, written as it goes. Times: nanoseconds since the epoch; 0: never."""

    trace: Trace
    method: str
    path: str
    client: str
    started_ns: int
    source: str = ""
    provider: str = ""
    size: int = 0
    """Bytes of the body."""
    verify_started_ns: int = 0
    verify_ended_ns: int = 0
    flush: Flush | None = None
    ended_ns: int = 0
    status: int = 0
    outcome: str = ""
    """`accepted`, `duplicate`, or the code of the refusal."""
    event_id: str = ""
    detail: str = ""
    """For the operator only: what exactly was wrong. Never a body, a secret or an address of a person."""


class Telemetry(Protocol):
    """The recorder on the intake path. Never raises, never waits, and costs the answer next to nothing."""

    @abstractmethod
    def start(self, method: str, traceparent: str | None, tracestate: str | None, started_ns: int) -> Trace:
        """Open the trace of a request; an incoming context is continued or linked, as configured."""

    @abstractmethod
    def finish(self, delivery: Delivery) -> None:
        """Take the record of an answered request; it must not be changed afterwards."""
