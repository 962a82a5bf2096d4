"""Reading a request as far as its signature needs: whatever is not as it must be is `Refused`, nothing else is raised.

No detail quotes a value of the request: they go to logs and pages, and some are megabytes or broken Unicode.
"""

import binascii
from typing import Any

from app.core.catalog.proof import SignedRequest
from app.core.catalog.schemes.refused import Refused
from app.core.domain.body import Opaque, Unreadable, read, read_json

FORM = "application/x-www-form-urlencoded"


def header(request: SignedRequest, name: bytes, missing: str = "signature_missing") -> bytes:
    """Give a header's one value: two would leave open which of them was signed."""
    value = optional_header(request, name)
    if not value:
        raise Refused(missing, f"no header {name.decode()}")
    return value


def optional_header(request: SignedRequest, name: bytes) -> bytes:
    """Give a header's one value, empty where it is not sent."""
    values = request.values(name)
    if len(values) > 1:
        raise Refused("signature_malformed", f"header {name.decode()} stands {len(values)} times")
    return values[0] if values else b""


def bearer(request: SignedRequest, scheme: bytes = b"bearer") -> bytes:
    """Give what stands in `Authorization` after the word for its kind, which is told apart without its case."""
    word, _, token = header(request, b"authorization").partition(b" ")
    if word.lower() != scheme or not token.strip():
        raise Refused("signature_malformed", f"authorization does not begin with {scheme.decode()}")
    return token.strip()


def unhex(text: bytes, what: str) -> bytes:
    """Decode hexadecimal digits."""
    try:
        return binascii.unhexlify(text)
    except ValueError:
        raise Refused("signature_malformed", f"{what} is not hexadecimal") from None


def unbase64(text: bytes, what: str) -> bytes:
    """Decode base64 with its padding, and nothing beside it."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise Refused("signature_malformed", f"{what} is not base64") from None


def json_value(body: bytes, what: str = "the body") -> Any:
    """Parse JSON, whatever it is."""
    parsed = read_json(body)
    if isinstance(parsed, Unreadable):
        raise Refused("signature_malformed", f"{what}: {parsed.reason}")
    return parsed.value


def json_object(body: bytes, what: str = "the body") -> dict[str, Any]:
    """Parse JSON that must be an object."""
    value = json_value(body, what)
    if not isinstance(value, dict):
        raise Refused("signature_malformed", f"{what} is no JSON object")
    return value


def form(body: bytes) -> dict[str, str | list[str]]:
    """Parse a form, whatever its content type says: a field that comes several times is a list."""
    parsed = read(FORM, body)
    if isinstance(parsed, Unreadable):
        raise Refused("signature_malformed", parsed.reason)
    fields: dict[str, str | list[str]] = {} if isinstance(parsed, Opaque) else parsed.value
    return fields


def text(fields: dict[str, Any], name: str, what: str = "the body", missing: str = "signature_missing") -> bytes:
    """Give a field that must be there as one text, in UTF-8."""
    value = fields.get(name)
    if value is None or value == "":
        raise Refused(missing, f"{what} has no {name}")
    if not isinstance(value, str):
        raise Refused("signature_malformed", f"{name} in {what} is no text")
    return utf8(value, f"{name} in {what}")


def utf8(value: str, what: str) -> bytes:
    """Encode a text of JSON, which may hold half a character."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise Refused("signature_malformed", f"{what} is not Unicode text") from None
