"""A secret of others as it may lie in a database: unreadable without a key that is not there."""

from typing import NamedTuple


class Sealed(NamedTuple):
    """What a secret became, and which key opens it."""

    key_id: str
    """Tells keys apart, and nothing about the key."""
    content: bytes
