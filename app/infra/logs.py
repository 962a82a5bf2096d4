"""Logs: one line an event on standard output, JSON in production and readable in dev, whoever it comes from.

structlog and the standard library's logging (uvicorn, alembic, sqlalchemy, opentelemetry) end in the same renderer and
the same stream. `trace_id` and whatever else is bound in structlog's context variables is added to each line.
"""

import atexit
import logging
import os
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
import structlog

from app.adapters.telemetry.catalog import LOG_DROPPED
from app.infra.log_stream import LogStream

Level = Literal["debug", "info", "warning", "error"]
_LEVELS: Mapping[Level, int] = {
    "debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR
}  # fmt: skip
Render = Callable[[Mapping[str, object]], bytes]


@dataclass(frozen=True, slots=True)
class Logs:
    """What was set up, for those who make lines of their own."""

    stream: LogStream
    render: Render
    """Makes a line of its fields, without the newline."""
    level: Level

    def line(self, level: Level, fields: Mapping[str, object]) -> None:
        """Write a line of these fields, `event` among them; its time is now."""
        if _LEVELS[level] >= _LEVELS[self.level]:
            self.stream.write(self.render({**_stamp(), "level": level, **fields}) + b"\n")

    def close(self, seconds: float = 1.0) -> bool:
        """Write what waits; call it last. False where time ran out."""
        return self.stream.close(seconds)


def set_up_logs(*, environment: Literal["dev", "production"], level: Level, descriptor: int = 1) -> Logs:
    """Send every log line of this process to a descriptor. Call it once, first of all; again, it replaces what was."""
    render = _readable(colours=_wants_colours(descriptor)) if environment == "dev" else _json
    stream = LogStream(
        descriptor,
        tell_dropped=lambda lines: (
            render({**_stamp(), "level": "warning", "event": LOG_DROPPED.name, "lines": lines}) + b"\n"
        ),
    )
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            lambda _logger, _method, event: render(event),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.BytesLoggerFactory(stream),  # type: ignore[arg-type]  # it writes and flushes
        cache_logger_on_first_use=False,
    )
    _route_standard_library(_Handler(stream, render), least)
    atexit.register(stream.close)  # a command that never closes its logs still gets them out
    return Logs(stream, render, level)


def _route_standard_library(handler: logging.Handler, least: int) -> None:
    root = logging.getLogger()
    for old in [known for known in root.handlers if isinstance(known, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(least)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # it logs query strings; each request has a line of ours
    for name in ("sqlalchemy", "urllib3", "asyncio", "uvicorn.error"):
        # Below that they tell of statements with their values, of each request to the collector, of starts and ends.
        logging.getLogger(name).setLevel(max(logging.WARNING, least))


class _Handler(logging.Handler):
    """The standard library's records as lines of ours. Logging never raises into what it logs about."""

    def __init__(self, stream: LogStream, render: Render) -> None:
        super().__init__()
        self._stream = stream
        self._render = render

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event: dict[str, Any] = {
                **_stamp(record.created),
                "level": record.levelname.lower(),
                "event": _message(record),
                "logger": record.name,
                **structlog.contextvars.get_contextvars(),
            }
            if record.exc_info:
                event["exception"] = logging.Formatter().formatException(record.exc_info)
            self._stream.write(self._render(event) + b"\n")
        except Exception:  # noqa: BLE001 - whatever a library logs must not fail a request
            self._stream.dropped += 1


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # a template that does not fit its values
        return str(record.msg)


def _stamp(seconds: float | None = None) -> dict[str, Any]:
    now = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return {"timestamp": now.isoformat(timespec="microseconds").replace("+00:00", "Z")}


def _json(event: Mapping[str, object]) -> bytes:
    if next(iter(event), None) == "timestamp":  # in order already: a webhook's own line, of which there are thousands
        try:  # `suppress` would cost as much as the line
            return orjson.dumps(event)
        except (TypeError, ValueError):
            pass
    order = {key: event[key] for key in ("timestamp", "level", "event") if key in event}
    try:
        return orjson.dumps(order | dict(event), default=str, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError):  # a lone surrogate, or an integer beyond 64 bits
        return orjson.dumps(order | {key: ascii(value) for key, value in event.items() if key not in order})


def _readable(*, colours: bool) -> Render:
    console = structlog.dev.ConsoleRenderer(
        colors=colours, exception_formatter=structlog.dev.plain_traceback, pad_event_to=26
    )  # fmt: skip

    def render(event: Mapping[str, object]) -> bytes:
        fields: MutableMapping[str, Any] = {key: _printable(value) for key, value in event.items() if value != ""}
        return str(console(None, "", fields)).encode("utf-8", "backslashreplace")

    return render


def _printable(value: object) -> object:
    """Keep control characters of strangers off the terminal; a traceback keeps its lines."""
    if isinstance(value, str) and not value.isprintable():
        return "\n".join(
            line if line.isprintable() else line.encode("unicode_escape").decode() for line in value.split("\n")
        )
    return value


def _wants_colours(descriptor: int) -> bool:
    return "NO_COLOR" not in os.environ and os.isatty(descriptor)
