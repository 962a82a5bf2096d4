"""What a job works on: the payload that it was given, or its event's body as it can be read."""

from base64 import b64encode

from app.core.domain.body import Readable, Unreadable, read
from app.core.domain.connector import Json


def payload_of(content_type: str | None, body: bytes) -> Json:
    """Give the parsed body where it is JSON or a form; any other as `{"body_b64": …}`."""
    found = read(content_type, body)
    return found.value if isinstance(found, Readable) else {"body_b64": b64encode(body).decode()}


def unreadable(content_type: str | None, body: bytes) -> str | None:
    """Say why a body that claims to be JSON or a form is none; None when nothing is wrong."""
    found = read(content_type, body)
    return found.reason if isinstance(found, Unreadable) else None
