"""Secrets that providers brought in a handshake: `handshake:NAME`, with the name of the source."""

from app.core.domain.errors import NoSealKey, NotOpened, SecretMissing
from app.core.domain.registration import PURPOSE, told
from app.core.domain.source import NAME
from app.core.ports.registrations import Registrations
from app.core.ports.sealing import Sealing
from app.core.ports.secret_store import SecretStore

PREFIX = "handshake:"


class HandshakeSecrets(SecretStore):
    """Opens what is kept of a source; several, where its provider makes one for each webhook.

    If one of them cannot be opened, none is given: its webhook would be told that it signs badly, and might be given up
    by its provider, when it is we who lack a key.
    """

    def __init__(self, registrations: Registrations, sealing: Sealing) -> None:
        self._registrations = registrations
        self._sealing = sealing

    async def resolve(self, reference: str) -> bytes:
        """Give the newest."""
        return (await self.resolve_all(reference))[0]

    async def resolve_all(self, reference: str) -> tuple[bytes, ...]:
        """Read all that are kept, and open each. Raises `Unavailable` where Postgres cannot be asked."""
        if (fault := self.fault(reference)) is not None:
            raise SecretMissing(f"a secret reference {fault}")
        name = reference.removeprefix(PREFIX)
        registration = await self._registrations.look(name)
        if not registration.secrets:
            raise SecretMissing(f"{reference} holds no secret: {told(name, registration)}")
        opened = []
        for kept in registration.secrets:
            try:
                opened.append(await self._sealing.open(kept.sealed, purpose=PURPOSE, owner=name))
            except (NoSealKey, NotOpened) as error:
                way_out = f"should its key be lost, run 'opsconnect sources forget {name} {kept.id}' and register anew"
                raise SecretMissing(f"{reference} cannot be opened here: {error}; {way_out}") from error
        return tuple(opened)

    def fault(self, reference: str) -> str | None:
        """Judge by the form."""
        if reference.startswith(PREFIX) and NAME.fullmatch(reference.removeprefix(PREFIX)):
            return None
        return "must be handshake:NAME with the name of the source whose provider brings the secret"
