"""Responses that FastAPI's own would not make: problems, and JSON that keeps what a provider sent exact."""

import json
from typing import Any

from fastapi.responses import Response

from app.adapters.web.problems import CONTENT_TYPE, body_of, retry_after


class ExactJSON(Response):
    """JSON by the standard library: integers of any size stay exact, and lone surrogates are escaped, not refused."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Write ASCII only: what a hostile sender put into a string stays inert in a terminal too."""
        return json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode()


def problem(code: str, **content: Any) -> Response:
    """Make the response for an entry of the problem table."""
    status, body = body_of(code, **content)
    headers = {"retry-after": retry_after().decode()} if status == 503 else None
    return Response(body, status, headers, media_type=CONTENT_TYPE.decode())
