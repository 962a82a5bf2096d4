"""What makes two deliveries the same event."""

from hashlib import sha256

LONGEST_DELIVERY_ID = 1024


def delivery_key(source: str, raw_id: bytes) -> bytes:
    """Make the 32-byte key of a delivery: no id, however long or hostile, can meet another source's."""
    return sha256(source.encode() + b"\0" + raw_id).digest()


def printable(raw_id: bytes) -> str:
    """Show a raw id to a person and to Postgres: one line, no NUL, at most 1,024 characters."""
    text = raw_id[:LONGEST_DELIVERY_ID].decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return text[:LONGEST_DELIVERY_ID]


def as_id(value: object) -> bytes | None:
    """Turn what stands at a path of a body into a raw id; None when it is nothing that identifies.

    Texts and integers identify; empty texts, booleans, null, fractions, lists and objects do not.
    """
    if isinstance(value, str):
        # A lone surrogate is legal in JSON and must not raise here.
        return value.encode("utf-8", "surrogatepass") or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value).encode()
    return None
