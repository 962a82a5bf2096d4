"""A line in this process's own log, which says that a payload came by, and never what stands in it.

Payloads hold people's names and addresses, as values and now and then as keys, and a text that is put together for a
step is made of them. So nothing of the input is logged but its size; the message is the connection's own, and so is the
choice of fields whose values an operator knows to be harmless.
"""

import logging
from collections.abc import Iterator, Mapping

import structlog

from app.core.domain.connector import Action, ActionCall, Described, Done, Effect, Failed, Json, invalid
from app.core.domain.document import kind, shown
from app.core.domain.json_text import json_bytes
from app.core.ports.connector import Connector

LONGEST_MESSAGE = 200
MOST_FIELDS = 20
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
DESCRIBED = Described(
    name="log",
    title="Log: a line in the log for each payload, without what stands in it",
    actions=(Action("log", "Write a line with the payload's size", Effect.IDEMPOTENT, {}),),
    settings_schema={
        "type": "object",
        "properties": {
            "message": {"type": "string", "maxLength": LONGEST_MESSAGE, "description": "What the line says"},
            "level": {"enum": [*_LEVELS], "description": "info, if nothing is said"},
            "fields": {
                "type": "array",
                "items": {"type": "string"},
                "maxItems": MOST_FIELDS,
                "description": "Fields at the payload's top whose values are logged: none that could be personal",
            },
        },
        "additionalProperties": False,
    },
)

_log = structlog.get_logger()


class LogConnector(Connector):
    """Tells structlog. A line a second time does no harm, and has the same key."""

    @property
    def described(self) -> Described:
        """One action; no setting is needed."""
        return DESCRIBED

    async def run(self, call: ActionCall) -> Done | Failed:
        """Write one line."""
        if fault := _settings_fault(call.settings):
            return invalid(fault, "invalid_settings")
        level, names = call.settings.get("level", "info"), call.settings.get("fields", [])
        try:
            size = len(json_bytes(call.input))
        except ValueError as error:
            return invalid(f"the input has no size: {error}")
        fields: dict[str, Json] = {
            "message": call.settings.get("message"),
            "kind": kind(call.input),
            "bytes": size,
            "key": call.key,
        }
        fields |= {"attempt": call.attempt, "fields": dict(_chosen(call.input, names))}
        told = {name: value for name, value in fields.items() if value not in (None, "", {})}
        _log.log(_LEVELS[level], "connector.log", **told)
        return Done({"bytes": size})

    async def check(self, call: ActionCall) -> Failed | None:
        """Nothing can be wrong."""
        return None


def _settings_fault(settings: Mapping[str, Json]) -> str | None:
    level, message, names = settings.get("level", "info"), settings.get("message", ""), settings.get("fields", [])
    if not isinstance(level, str) or level not in _LEVELS:
        return f"level must be one of {', '.join(_LEVELS)}"
    if not isinstance(message, str) or len(message) > LONGEST_MESSAGE:
        return f"message must be a text of at most {LONGEST_MESSAGE} characters"
    if not isinstance(names, list) or len(names) > MOST_FIELDS or not all(isinstance(name, str) for name in names):
        return f"fields must be a list of at most {MOST_FIELDS} names"
    return None


def _chosen(given: Json, names: list[str]) -> Iterator[tuple[str, Json]]:
    """Give the chosen fields, short; a list or an object is not looked into."""
    if isinstance(given, Mapping):
        for name in names:
            value = given.get(name)
            if isinstance(value, str | int | float):
                yield shown(name), value if isinstance(value, bool | float) else shown(str(value))
