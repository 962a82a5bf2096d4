"""Responses that FastAPI's own would not make: problems, and JSON that keeps what a provider sent exact."""

import json
import math
from typing import Any

from fastapi.responses import Response

from app.adapters.web.problems import CONTENT_TYPE, body_of, retry_after


class ExactJSON(Response):
    """JSON by the standard library: integers of any size stay exact, and lone surrogates are escaped, not refused."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Write ASCII only: what a hostile sender put into a string stays inert in a terminal too."""
        try:
            text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        except ValueError:
            text = json.dumps(_sayable(content), ensure_ascii=True, separators=(",", ":"))
        return text.encode()


def _sayable(content: Any) -> Any:
    """Leave out what JSON has no word for: `1e400` is read as an infinite number."""
    if isinstance(content, dict):
        return {name: _sayable(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_sayable(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def problem(code: str, **content: Any) -> Response:
    """Make the response for an entry of the problem table."""
    status, body = body_of(code, **content)
    headers = {"retry-after": retry_after().decode()} if status == 503 else None
    return Response(body, status, headers, media_type=CONTENT_TYPE.decode())
