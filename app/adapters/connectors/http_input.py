"""What an action by HTTP is asked for: read from a description, or a payload that is the body whatever it holds."""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import NamedTuple

from app.adapters.connectors.http_settings import read_headers
from app.adapters.connectors.http_url import joined
from app.core.domain.connector import Json
from app.core.domain.document import Document, Findings, Part
from app.core.domain.errors import Fault, Invalid
from app.core.domain.json_text import json_bytes

_SCALAR = {"type": ["string", "number", "boolean", "null"]}
_WHERE: Mapping[str, Json] = {
    "path": {"type": "string", "pattern": "^/", "description": "Added to base_url"},
    "query": {"type": "object", "additionalProperties": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]}},
    "headers": {"type": "object", "additionalProperties": {"type": ["string", "integer"]}},
}
_WHAT: Mapping[str, Json] = {
    "json": {"description": "Any value, sent as JSON"},
    "body": {"type": "string", "description": "A text, instead"},
    "body_b64": {"type": "string", "description": "Any bytes in Base64, instead"},
}
_METHOD = re.compile(r"[A-Za-z]{1,20}")


def _object(properties: Mapping[str, Json], *required: str) -> Mapping[str, Json]:
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


ASKING = _object({**_WHERE})
SENDING = _object({**_WHERE, **_WHAT})
ANY = _object({"method": {"type": "string", "pattern": f"^{_METHOD.pattern}$"}, **_WHERE, **_WHAT}, "method")


class Asked(NamedTuple):
    """What is to be sent, before the connection adds to it."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    """Names in lower case."""
    body: bytes = b""


def payload_asked(method: str, base_url: str, payload: Json) -> Asked:
    """Send a payload as it came. Nothing in it is an instruction: its sender is a stranger."""
    return Asked(method, joined(base_url, None, {}), {"content-type": "application/json"}, _json(payload))


def described_asked(method: str | None, schema: Mapping[str, Json], base_url: str, given: Json) -> Asked:
    """Read a description. Raises `Invalid` with all that is wrong, and quotes no value.

    There is no guessing: what is no description is not taken for a body, which must be said to be one.
    """
    findings = Findings(Document(given))
    parts = Part(given, (), findings).mapping([*schema["properties"]]) or {}
    path = parts["path"].text("/orders/42") if "path" in parts else None
    headers = read_headers(parts["headers"]) if "headers" in parts else {}
    method = method or _method(parts.get("method", Part(None, ("method",), findings)))
    content = [parts[name] for name in _WHAT if name in parts]
    if len(content) > 1:
        content[1].fault("must be the only one of json, body and body_b64")
    findings.raise_if_any()
    url = joined(base_url, path, parts["query"].value if "query" in parts else {})
    if not content:
        return Asked(method, url, headers)
    body, kind = _body(content[0])
    return Asked(method, url, {"content-type": kind, **headers}, body)


def _method(part: Part) -> str:
    text = part.text("as in POST") or ""
    if text and not _METHOD.fullmatch(text):
        part.fault("must be a method of HTTP, as in POST")
    return text.upper()


def _body(part: Part) -> tuple[bytes, str]:
    name, value = str(part.path[-1]), part.value
    if name == "json":
        return _json(value), "application/json"
    try:
        if isinstance(value, str) and name == "body":
            return value.encode(), "text/plain; charset=utf-8"
        if isinstance(value, str):
            return b64decode(value, validate=True), "application/octet-stream"
    except (UnicodeEncodeError, binascii.Error, ValueError):
        pass
    raise Invalid([Fault(name, "must be a text" if name == "body" else "must be Base64")])


def _json(value: Json) -> bytes:
    try:
        return json_bytes(value)
    except ValueError as error:
        raise Invalid([Fault("json", str(error))]) from None
