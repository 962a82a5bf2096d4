"""API keys: who may ask for what, and until when. Who has the text of one is its holder; we keep its digest alone."""

import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from app.core.domain.ids import ApiKeyId, is_id

KEY_BYTES = 32
"""256 random bits, which nobody guesses: a digest without salt and stretching keeps them as well as one with."""
PREFIX_LENGTH = 11
"""`oc_` and 8 of 43 characters: enough to tell keys apart by, and 208 bits stay unknown."""
NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")

_SPELLED = re.compile(rb"oc_[A-Za-z0-9_-]{43}")


class Scope(StrEnum):
    """What a key is for: each scope includes those before it."""

    READ = "read"
    """Look at everything but keys and the audit log."""
    OPERATE = "operate"
    """Also act on what was kept: release a refusal."""
    ADMIN = "admin"
    """Also decide who may: keys; and look at what everybody did."""

    def includes(self, other: "Scope") -> bool:
        """Tell whether whoever has this scope may do what needs the other."""
        order = list(Scope)
        return order.index(other) <= order.index(self)


class NewApiKey(NamedTuple):
    """A key as it is kept."""

    id: ApiKeyId
    name: str
    prefix: str
    digest: bytes
    """SHA-256 of its text, 32 bytes."""
    scope: Scope
    expires_at: datetime | None
    """None: never."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is looked at later. Neither its text nor its digest is in here."""

    id: ApiKeyId
    name: str
    prefix: str
    scope: Scope
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To the minute; None: never."""

    def state(self, now: datetime) -> str:
        """Tell where it stands: `valid`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


def spelled(random: bytes) -> str:
    """Write `KEY_BYTES` random bytes as a key. Its beginning says what it is, to people and to scanners of texts."""
    return "oc_" + urlsafe_b64encode(random).decode().rstrip("=")


def is_spelled(text: bytes) -> bool:
    """Tell whether this could be a key of ours, without asking anybody."""
    return _SPELLED.fullmatch(text) is not None


def prefix_of(key: str) -> str:
    """Give the part of a key that may be shown."""
    return key[:PREFIX_LENGTH]


def digest_of(key: bytes) -> bytes:
    """Give what is kept of a key."""
    return sha256(key).digest()


def is_name(text: str) -> bool:
    """Tell whether a key may have this name; what could be an id is none."""
    return NAME.fullmatch(text) is not None and not is_id(text)
