"""What an answer by HTTP means: done, or a failure sorted by what another try would mean."""

import codecs
from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC
from email.utils import parsedate_to_datetime

from app.adapters.connectors.http_settings import HttpSettings
from app.core.domain.body import Readable, read_json
from app.core.domain.connector import Done, Failed, Failure, Json
from app.core.domain.delivery_key import printable
from app.core.domain.json_text import json_bytes
from app.core.domain.outgoing import OutgoingAnswer

LONGEST_QUOTE = 160
_SHOWN = ("content-type", "etag", "last-modified", "link", "location", "x-request-id")
"""The headers that a later step may want. Others may hold anything, cookies included."""
_LATER = frozenset({408, 425, 429})
_LONGEST_WAIT = 1e9


def outcome(
    answer: OutgoingAnswer, asked: str, settings: HttpSettings, hidden: Iterable[bytes], now: float
) -> Done | Failed:
    """Sort an answer. `asked` says who was asked for what; what is `hidden` is quoted from no answer."""
    status = answer.status
    meaning = settings.statuses.get(status) or _meaning(status)
    if meaning == "done":
        return Done(_output(answer))
    wait = _retry_after(answer, now)
    code, message = f"http_{status}", f"{asked} answered {status}{_hint(status)}{_quote(answer.body, hidden)}"
    if meaning == "permanent":
        return Failed(Failure.PERMANENT, code, message)
    throttled = status == 429 or (status == 503 and wait is not None)
    # These say that it was not begun. Of others nobody knows, least of all a gateway that got no answer itself.
    maybe_done = status >= 500 and status not in {501, 503, 505}
    return Failed(Failure.THROTTLED if throttled else Failure.RETRY, code, message, wait, maybe_done)


def _meaning(status: int) -> str:
    if 200 <= status < 300:
        return "done"
    return "retry" if status >= 500 or status in _LATER else "permanent"


def _hint(status: int) -> str:
    if 300 <= status < 400:
        return ", a redirect, which is not followed: let base_url name the place it leads to"
    return ", so the secret or its rights are wrong" if status in {401, 403} else ""


def _output(answer: OutgoingAnswer) -> Json:
    headers = {name: value for name, value in reversed(answer.headers) if name in _SHOWN}
    output: dict[str, Json] = {"status": answer.status, "headers": headers, **_content(answer)}
    return output | ({"truncated": True} if answer.truncated else {})


def _content(answer: OutgoingAnswer) -> dict[str, Json]:
    """Give the body as a value where it is JSON to the end, else as text, else in Base64."""
    kind = next(iter(answer.values("content-type")), "").partition(";")[0].strip().lower()
    if not answer.body:
        return {"body": None}
    if (kind.endswith(("/json", "+json"))) and not answer.truncated:
        read = read_json(answer.body)
        if isinstance(read, Readable) and _sayable(read.value):
            return {"body": read.value}
    try:
        # The end may have been cut off in the middle of a character.
        return {"body": codecs.getincrementaldecoder("utf-8")().decode(answer.body, final=not answer.truncated)}
    except UnicodeDecodeError:
        return {"body": None, "body_b64": b64encode(answer.body).decode()}


def _sayable(value: Json) -> bool:
    try:
        json_bytes(value)
    except ValueError:  # 1e400 is read as infinite
        return False
    return True


def _retry_after(answer: OutgoingAnswer, now: float) -> float | None:
    """Read `Retry-After` (RFC 9110 §10.2.3): seconds, or a date; None where it says nothing that can be understood."""
    text = next(iter(answer.values("retry-after")), "").strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) < 10 else _LONGEST_WAIT
    try:
        moment = parsedate_to_datetime(text)
        return min(max(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now, 0.0), _LONGEST_WAIT)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _quote(body: bytes, hidden: Iterable[bytes]) -> str:
    for secret in hidden:
        body = body.replace(secret, b"***") if secret else body
    text = printable(body).strip()
    return f": {text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + '…'}" if text else ""
