"""Letting a source expect the secret that its provider brings, and removing what is no longer needed."""

from dataclasses import dataclass
from datetime import datetime

from app.core.domain.audit import Action, Actor
from app.core.domain.errors import Forbidden, NoSealKey
from app.core.domain.registration import MOST_SECRETS, PURPOSE, expects_secrets
from app.core.domain.source import Source
from app.core.ports.audit_log import AuditLog
from app.core.ports.registrations import Registrations
from app.core.ports.sealing import Sealing
from app.core.ports.source_registry import SourceRegistry


@dataclass(frozen=True, slots=True)
class Opened:
    """A registration is pending."""

    source: Source
    until: datetime
    missing: str | None
    """What would keep the secret from being kept; where webhooks are served, it may be there."""


@dataclass(frozen=True, slots=True)
class RegisterSource:
    """Open a registration, show a secret that was brought, remove one."""

    sources: SourceRegistry
    registrations: Registrations
    sealing: Sealing
    audit: AuditLog

    async def __call__(self, name: str, by: Actor) -> Opened | None:
        """Expect a secret for an hour from now; None when there is no source of that name.

        Raises `Forbidden`, which says why not and what to do, `Unavailable` or `OutcomeUnknown`.
        """
        source = await self.sources.get(name)
        if source is None:
            return None
        if not expects_secrets(source):
            raise Forbidden(
                f"{name} takes no secret from a handshake: give it secrets: [\"handshake:\"] with 'opsconnect apply'"
            )
        await self.audit.append(by.does(Action.SOURCE_REGISTER, name))
        until = await self.registrations.open(name)
        if until is None:
            raise Forbidden(
                f"{name} has {MOST_SECRETS} secrets, as many as a source may have: 'opsconnect sources show {name}' "
                f"lists them, 'opsconnect sources forget {name} ID' removes that of a webhook which is no more"
            )
        return Opened(source, until, await self._missing())

    async def reveal(self, name: str, by: Actor, secret_id: int | None = None) -> bytes | None:
        """Give one secret, the newest by default, for a provider that wants to be shown it; None where there is none.

        Raises `NoSealKey`, `NotOpened` or `Unavailable`.
        """
        for kept in (await self.registrations.look(name)).secrets:
            if secret_id in (None, kept.id):
                await self.audit.append(by.does(Action.SOURCE_REVEAL_SECRET, name, secret=kept.id))
                return await self.sealing.open(kept.sealed, purpose=PURPOSE, owner=name)
        return None

    async def forget(self, name: str, secret_id: int, by: Actor) -> bool:
        """Remove one secret: what is signed with it is refused from then on. False where there was none.

        Raises `Unavailable` or `OutcomeUnknown`.
        """
        if all(kept.id != secret_id for kept in (await self.registrations.look(name)).secrets):
            return False
        await self.audit.append(by.does(Action.SOURCE_FORGET_SECRET, name, secret=secret_id))
        return await self.registrations.forget(name, secret_id)

    async def _missing(self) -> str | None:
        """Say what would keep a secret from being kept; trying is the surest way to know."""
        try:
            await self.sealing.seal(b"probe", purpose="probe", owner="probe")
        except NoSealKey as error:
            return str(error)
        return None
