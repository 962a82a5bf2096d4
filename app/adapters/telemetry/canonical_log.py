"""One line a webhook request, with everything an operator asks first; all lines of a turn are written at once."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import orjson

from app.adapters.telemetry import catalog
from app.adapters.telemetry.trace_context import clean
from app.core.ports.event_store import Flush
from app.core.ports.telemetry import Delivery

Level = Literal["debug", "info", "warning", "error"]
Line = dict[str, str | int | float]

_RANK: dict[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


_LEVELS = {status: "info" if status < 400 else "warning" if status < 500 else "error" for status in range(100, 600)}


def json_line(line: Mapping[str, object]) -> bytes:
    """Render a line for machines, without its newline."""
    try:
        return orjson.dumps(line)
    except (TypeError, ValueError):  # a lone surrogate, or an integer beyond 64 bits
        return json.dumps(line, default=str).encode()


def _times_of(flush: Flush) -> dict[str, float]:
    times = {}
    if flush.lock_started_ns:
        times["lock_ms"] = (flush.lock_ended_ns - flush.lock_started_ns) // 1000 / 1000
    if flush.append_started_ns:
        times["append_ms"] = (flush.append_ended_ns - flush.append_started_ns) // 1000 / 1000
    return times


class CanonicalLog:
    """Makes lines of records. `write` gets whole lines and must neither wait nor raise."""

    def __init__(
        self,
        write: Callable[[bytes], object],
        *,
        render: Callable[[Mapping[str, object]], bytes] = json_line,
        level: Level = "info",
    ) -> None:
        self._write = write
        self._render = render
        self._told = [name for name, rank in _RANK.items() if rank >= _RANK[level]]
        self._flush: Flush | None = None
        self._flush_times: dict[str, float] = {}
        self._second = -1
        self._second_text = ""

    def write(self, lines: Sequence[bytes]) -> None:
        """Write what `line` gave, in one go."""
        if lines:
            self._write(b"\n".join(lines) + b"\n")

    def line(self, delivery: Delivery) -> bytes | None:
        """Make the line of a request, without its newline; None where its level is not logged."""
        status, flush = delivery.status, delivery.flush
        level = _LEVELS.get(status, "warning")
        if level not in self._told:
            return None
        started_ns, ended_ns = delivery.started_ns, delivery.ended_ns
        line: Line = {
            "timestamp": self._time(ended_ns or started_ns),
            "level": level,
            "event": catalog.WEBHOOK_ANSWERED.name,
            "source": delivery.source,
            "event_id": delivery.event_id,
            "outcome": delivery.outcome,
            "status": status,
            "bytes": delivery.size,
        }
        if delivery.verify_started_ns:
            line["verify_ms"] = (delivery.verify_ended_ns - delivery.verify_started_ns) // 1000 / 1000
        if flush is not None:
            if flush is not self._flush:  # one for many lines in a row
                self._flush, self._flush_times = flush, _times_of(flush)
            line |= self._flush_times
        line["total_ms"] = (ended_ns - started_ns) // 1000 / 1000 if ended_ns else 0.0
        line["trace_id"] = delivery.trace.trace_id
        line["client"] = delivery.client
        if delivery.detail:
            line["detail"] = clean(delivery.detail, 500)
        return self._render(line)

    def _time(self, ns: int) -> str:
        """RFC 3339 in UTC with microseconds; the text of a second is kept, since the next line needs it too."""
        second, rest = divmod(ns, 1_000_000_000)
        if second != self._second:
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._second_text}.{rest // 1000:06d}Z"
