"""How everything that is kept is shown alike: times, pages and bodies."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

from fastapi.responses import Response

from app.core.domain.body import Readable, read
from app.core.domain.ids import is_id

LARGEST_PAGE = 200


def rfc3339(moment: datetime) -> str:
    """Show a time in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cursor_after(last: str | None) -> str | None:
    """Make the cursor of the page that follows the one that ends with this id; None: none follows."""
    return None if last is None else base64.urlsafe_b64encode(bytes.fromhex(last.replace("-", ""))).decode().rstrip("=")


def id_in(cursor: str) -> str | None:
    """Give the id that a cursor was made of; None: we did not make it."""
    try:
        raw = base64.b64decode(cursor + "==", altchars=b"-_", validate=True).hex()
    except (ValueError, binascii.Error):
        return None
    text = f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"
    return text if is_id(text) else None


def content(content_type: str | None, body: bytes) -> Any:
    """Show a body parsed where it is JSON or a form, else as text where it is UTF-8; else None."""
    parsed = read(content_type, body)
    if isinstance(parsed, Readable):
        return parsed.value
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def raw(body: bytes, name: str) -> Response:
    """Give the bytes themselves. Never as the sender's own type: a browser must not run what somebody posted."""
    return Response(
        body,
        media_type="application/octet-stream",
        headers={
            "x-content-type-options": "nosniff",
            "content-security-policy": "default-src 'none'; sandbox",
            "content-disposition": f'attachment; filename="{name}"',
        },
    )
