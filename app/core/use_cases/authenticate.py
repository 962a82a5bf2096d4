"""Telling who asks, by the key that came with the request."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from app.core.domain.api_key import Scope, digest_of, is_spelled
from app.core.ports.api_keys import ApiKeys


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has a valid key."""

    name: str
    """`admin`, or `key:NAME`: what the audit log calls this one."""
    scope: Scope


ADMIN = Caller("admin", Scope.ADMIN)


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Know the one admin key of the settings, and the keys that are kept."""

    keys: ApiKeys
    admin_digest: bytes | None
    """Of the admin key; None: there is none."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def __call__(self, key: bytes) -> Caller | None:
        """Tell whose key this is; None where it is nobody's, or not any more.

        Raises `Unavailable` where it cannot be looked up; with the admin key never.
        """
        # Only digests are compared: their lengths and times tell nothing of the key.
        digest = digest_of(key)
        if self.admin_digest is not None and hmac.compare_digest(digest, self.admin_digest):
            return ADMIN
        if not is_spelled(key):
            return None
        found = await self.keys.find(digest)
        now = self.clock()
        if found is None or found.state(now) != "valid":
            return None
        await self.keys.note_uses({found.id: now})
        return Caller(f"key:{found.name}", found.scope)
