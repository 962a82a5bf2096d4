"""Taking the secret that a provider brings in a challenge, which nobody has signed; or saying why not."""

import asyncio
import hmac
from dataclasses import dataclass, field

from app.core.domain.errors import Forbidden, NoSealKey, NotOpened, NotPending, Unavailable
from app.core.domain.registration import LONGEST_SECRET_BYTES, PURPOSE, Registration, expects_secrets, told
from app.core.domain.source import Source
from app.core.ports.registrations import Registrations
from app.core.ports.sealing import Sealing

MOST_AT_ONCE = 2
"""In each process: a flood of made-up challenges must not take the connections on which webhooks are kept."""


@dataclass(frozen=True, slots=True)
class OfferSecret:
    """Keep an offered secret, if the source expects one. When this returns, the challenge may be answered."""

    registrations: Registrations
    sealing: Sealing
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))

    async def __call__(self, source: Source, secret: bytes) -> None:
        """Take one secret of a source.

        One that is kept already is as good as a new one, whether or not any is expected: providers repeat their
        handshakes, and who knows the secret learns nothing.

        Raises `NotPending`, `NoSealKey` or another `Forbidden` where it is refused, with a text for the operator that
        holds nothing of the secret. Raises `Unavailable` or `OutcomeUnknown` when the provider must try again.
        """
        if not expects_secrets(source):
            raise NotPending(
                f'source {source.name} takes no secret from a handshake; for that it needs secrets: ["handshake:"]'
            )
        if not secret.strip() or len(secret) > LONGEST_SECRET_BYTES:
            raise Forbidden(f"the offered secret is empty or longer than {LONGEST_SECRET_BYTES} bytes")
        if self._turns.locked():
            raise Unavailable("too many secrets are being offered at once")
        async with self._turns:
            await self._take(source.name, secret)

    async def _take(self, name: str, secret: bytes) -> None:
        registration = await self.registrations.look(name)
        if await self._is_among(registration, name, secret):
            return
        if registration.pending:
            if await self.registrations.keep(name, await self.sealing.seal(secret, purpose=PURPOSE, owner=name)):
                return
            registration = await self.registrations.look(name)  # somebody was quicker, perhaps with the same one
            if await self._is_among(registration, name, secret):
                return
        raise NotPending(f"source {name} expects no secret: {told(name, registration)}")

    async def _is_among(self, registration: Registration, name: str, secret: bytes) -> bool:
        found = False
        for kept in registration.secrets:
            try:
                known = await self.sealing.open(kept.sealed, purpose=PURPOSE, owner=name)
            except (NoSealKey, NotOpened):
                continue  # nobody can say what it is, so this one is new
            found |= hmac.compare_digest(known, secret)
        return found
