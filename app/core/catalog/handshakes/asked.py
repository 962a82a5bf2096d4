"""What a challenge asks with: the query of the URL, a header, or a small JSON body. Nothing here ever raises."""

import hmac
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from app.core.catalog.proof import SignedRequest
from app.core.domain.body import Readable, read_json

MOST_PARAMETERS = 100
LARGEST_CHALLENGE_BYTES = 16 * 1024


def query(request: SignedRequest, *methods: str) -> dict[str, str]:
    """Give the query of a request with one of these methods, decoded, the first of each name; else nothing."""
    if request.method not in methods or "?" not in request.url:
        return {}
    try:
        pairs = parse_qsl(urlsplit(request.url).query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        return {}
    return dict(reversed(pairs))


def header(request: SignedRequest, name: bytes) -> str:
    """Give a header's one value; empty: there is none, or several."""
    values = request.values(name)
    return values[0].decode("utf-8", "replace") if len(values) == 1 else ""


def posted(request: SignedRequest, marker: bytes) -> dict[str, Any]:
    """Give the JSON object of a POST, if it is small and holds the marker, which is looked for before it is parsed."""
    value = posted_value(request, marker)
    return value if isinstance(value, dict) else {}


def posted_value(request: SignedRequest, marker: bytes) -> Any:
    """Give the JSON of a POST of any shape."""
    if request.method != "POST" or len(request.body) > LARGEST_CHALLENGE_BYTES or marker not in request.body:
        return None
    parsed = read_json(request.body)
    return parsed.value if isinstance(parsed, Readable) else None


def text_of(found: Any, name: str) -> str:
    """Give a text within an object; empty: there is none."""
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""


def same(given: str, expected: str | bytes | None) -> bool:
    """Compare with what was configured, which must be there, in time that does not depend on where they differ."""
    wanted = expected.encode() if isinstance(expected, str) else expected
    return bool(wanted) and hmac.compare_digest(given.encode("utf-8", "replace"), wanted or b"")
