"""A registration: the time in which a source expects the secret that its provider brings in a handshake.

Nobody vouches for such a secret: whoever knows the address can offer one, and whoever's is kept can sign events. So a
person opens a registration, and the first secret that is offered ends it. Should a stranger be the quicker one, then
the provider's own handshake is refused, which that person sees at once; were all of an hour taken, both would be kept
in silence.

A source keeps several secrets, because Asana makes one for each webhook: for a second webhook, a second registration.
Whichever fits proves an event. None goes by itself, not even for a newer one, since that would silence a webhook that
works: who removes a webhook removes its secret as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.core.domain.sealed import Sealed
from app.core.domain.source import Source

PENDING = timedelta(hours=1)
MOST_SECRETS = 16
"""Of one source; each that does not fit costs every forged event a few microseconds."""
LONGEST_SECRET_BYTES = 1_024
PURPOSE = "handshake"
"""What these secrets are sealed for."""


@dataclass(frozen=True, slots=True)
class KeptSecret:
    """One secret that a provider brought."""

    id: int
    """Of all sources, in the order in which they came."""
    kept_at: datetime
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class Registration:
    """How a source stands at a moment of the database's clock."""

    opened_at: datetime | None = None
    """The last time; None: never, or what it brought was removed."""
    pending: bool = False
    secrets: Sequence[KeptSecret] = ()
    """Newest first."""

    @property
    def ends_at(self) -> datetime | None:
        """When it is over, if no secret comes before."""
        return self.opened_at + PENDING if self.opened_at else None


def reference_of(name: str) -> str:
    """Give the secret reference by which a source means what its own provider brings."""
    return f"handshake:{name}"


def expects_secrets(source: Source) -> bool:
    """Tell whether a source takes its secrets from handshakes."""
    return reference_of(source.name) in source.secrets


def told(name: str, registration: Registration) -> str:
    """Say how a registration stands, and what brings a secret."""
    register = f"'opsconnect sources register {name}'"
    if registration.opened_at is None or registration.ends_at is None:
        return f"no registration is open; run {register}, then create the webhook at the provider within an hour"
    if registration.pending:
        return f"a registration is pending until {_shown(registration.ends_at)}; create the webhook at the provider"
    if registration.secrets and registration.secrets[0].kept_at >= registration.opened_at:
        kept_at = _shown(registration.secrets[0].kept_at)
        return f"the registration ended with the secret that came at {kept_at}; run {register} for another one"
    return f"the registration ended at {_shown(registration.ends_at)}, and no secret came; run {register} again"


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
