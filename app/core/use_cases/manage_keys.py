"""Giving keys to operators and programs, and taking them back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.core.domain.api_key import (
    KEY_BYTES,
    ApiKey,
    NewApiKey,
    Scope,
    digest_of,
    is_name,
    prefix_of,
    spelled,
)
from app.core.domain.audit import Action, Actor
from app.core.domain.errors import Fault, Invalid
from app.core.domain.ids import api_key_id
from app.core.ports.api_keys import ApiKeys
from app.core.ports.audit_log import AuditLog


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A key that is valid from now on."""

    key: ApiKey
    text: str
    """What its holder sends. Nobody can show it again."""


@dataclass(frozen=True, slots=True)
class ManageKeys:
    """Create a key, list all, revoke one."""

    keys: ApiKeys
    audit: AuditLog
    random: Callable[[int], bytes]
    """Gives so many bytes that nobody can guess."""
    clock_ns: Callable[[], int]

    async def create(self, name: str, scope: Scope, by: Actor, *, expires_at: datetime | None = None) -> CreatedKey:
        """Make a key and keep its digest.

        Raises `Invalid` for a name that cannot be given or was given before, or a time that is over; `Unavailable` when
        there is no such key, `OutcomeUnknown` when there may be one, which nobody has the text of.
        """
        now_ns = self.clock_ns()
        await self._refuse_unusable(name, expires_at, datetime.fromtimestamp(now_ns / 1_000_000_000, UTC))
        text = spelled(self.random(KEY_BYTES))
        new = NewApiKey(api_key_id(now_ns), name, prefix_of(text), digest_of(text.encode()), scope, expires_at)
        until = None if expires_at is None else expires_at.astimezone(UTC).isoformat()
        await self.audit.append(
            by.does(Action.KEY_CREATE, name, id=new.id, prefix=new.prefix, scope=scope.value, expires_at=until)
        )
        created = await self.keys.create(new)
        if created is None:  # somebody else was faster
            raise _taken(name)
        return CreatedKey(created, text)

    async def all(self) -> Sequence[ApiKey]:
        """List every key, in the order in which they were created. Raises `Unavailable`."""
        return await self.keys.all()

    async def revoke(self, id_or_name: str, by: Actor) -> ApiKey | None:
        """Make a key worthless, within seconds everywhere; None where there is none. One that is revoked stays so.

        Raises `Unavailable`, or `OutcomeUnknown`: once more finds out.
        """
        key = await self._found(id_or_name)
        if key is None or key.revoked_at is not None:
            return key
        await self.audit.append(by.does(Action.KEY_REVOKE, key.name, id=key.id))
        await self.keys.revoke(key.id)
        return await self._found(key.id)

    async def _found(self, id_or_name: str) -> ApiKey | None:
        return next((key for key in await self.keys.all() if id_or_name in (key.id, key.name)), None)

    async def _refuse_unusable(self, name: str, expires_at: datetime | None, now: datetime) -> None:
        faults = []
        if not is_name(name):
            text = "is no name for a key: up to 63 of a-z, 0-9 and . _ - between them"
            faults.append(Fault("name", text))
        elif any(key.name == name for key in await self.keys.all()):
            raise _taken(name)
        if expires_at is not None and expires_at <= now:
            faults.append(Fault("expires_at", "is over already"))
        if faults:
            raise Invalid(faults)


def _taken(name: str) -> Invalid:
    return Invalid([Fault("name", f"{name} was given before, and is given once, so that it always means one key")])
