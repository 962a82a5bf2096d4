"""What a connection by HTTP is set up with: typed, from the settings that a person wrote."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.adapters.connectors.http_auth import AUTH_SCHEMA, Auth, read_auth
from app.core.domain.connector import Json
from app.core.domain.document import Document, Findings, Part

LONGEST_SECONDS = 300

_STATUSES = {"type": "array", "items": {"type": "integer", "minimum": 200, "maximum": 599}}
SETTINGS_SCHEMA: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "base_url": {
            "type": "string",
            "pattern": "^https?://[^#]+$",
            "description": "Where it is: https://api.example.com/v1; paths of calls are added to it",
        },
        "headers": {
            "type": "object",
            "additionalProperties": {"type": ["string", "integer"]},
            "description": "Sent with each call; secrets belong into auth",
        },
        "auth": AUTH_SCHEMA,
        "timeout_seconds": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": LONGEST_SECONDS,
            "description": "For a whole call, where a step allows no less",
        },
        "statuses": {
            "type": "object",
            "properties": {"done": _STATUSES, "retry": _STATUSES, "permanent": _STATUSES},
            "additionalProperties": False,
            "description": "Answers that mean something else here: {done: [409]}",
        },
    },
    "required": ["base_url"],
    "additionalProperties": False,
}
_BASE = re.compile(r"https?://[^#]+")


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """A connection's settings."""

    base_url: str
    headers: Mapping[str, str]
    """Names in lower case."""
    auth: Auth | None
    timeout_seconds: float
    statuses: Mapping[int, str]
    """What an answer means, other than usual: `done`, `retry` or `permanent`."""


def read_settings(settings: Mapping[str, Json]) -> HttpSettings:
    """Read them. Raises `Invalid` with all that is wrong, and quotes no value."""
    findings = Findings(Document(settings))
    parts = Part(settings, (), findings).mapping([*SETTINGS_SCHEMA["properties"]]) or {}
    base_url = _base_url(parts.get("base_url", Part(None, ("base_url",), findings)))
    headers = read_headers(parts["headers"]) if "headers" in parts else {}
    auth = read_auth(parts["auth"]) if "auth" in parts else None
    seconds = _seconds(parts["timeout_seconds"]) if "timeout_seconds" in parts else LONGEST_SECONDS
    statuses = _statuses(parts["statuses"]) if "statuses" in parts else {}
    findings.raise_if_any()
    return HttpSettings(base_url, headers, auth, seconds, statuses)


def read_headers(part: Part) -> dict[str, str]:
    """Read headers, names in lower case; whether each can be sent is for the client to say."""
    if not isinstance(part.value, dict):
        part.fault("must be a mapping of names to texts")
        return {}
    read = {}
    for name, value in part.value.items():
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30):
            read[str(name).lower()] = str(value)
        else:
            part.fault("must be a text", str(name))
    return read


def _base_url(part: Part) -> str:
    text = part.text("https://api.example.com")
    if text is not None and not _BASE.fullmatch(text):
        part.fault("must begin with https:// (or http://) and a host, and have no #")
    return text or ""


def _seconds(part: Part) -> float:
    seconds: Any = part.value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_SECONDS:
        part.fault(f"must be a number of seconds up to {LONGEST_SECONDS}")
        return LONGEST_SECONDS
    return seconds


def _statuses(part: Part) -> dict[int, str]:
    read: dict[int, str] = {}
    for meaning, listed in (part.mapping(("done", "retry", "permanent")) or {}).items():
        for item in listed.items("[404, 409]"):
            if isinstance(item.value, int) and not isinstance(item.value, bool) and 200 <= item.value <= 599:
                read[item.value] = meaning
            else:
                item.fault("must be a status from 200 to 599")
    return read
