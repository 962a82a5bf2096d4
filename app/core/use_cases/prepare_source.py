"""Making a source ready to take requests in: what it is, and what proves a request genuine with its present secrets."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from app.core.catalog.proof import UNVERIFIED, SignedRequest, Verdict, Verifier
from app.core.catalog.signatures import verify_hmac
from app.core.domain.errors import SecretMissing, Unavailable
from app.core.domain.source import Source
from app.core.ports.secret_store import SecretStore
from app.core.ports.source_registry import SourceRegistry

AT_HAND_SECONDS = 1.0


class Ready(NamedTuple):
    """A source, and what it verifies with."""

    source: Source
    secrets: tuple[bytes, ...]
    verify: Verifier


@dataclass(frozen=True, slots=True)
class PrepareSource:
    """Prepares each source once for its secrets, and keeps it at hand for a second.

    So most requests find what they need without waiting, and every change of a source or secret is seen soon.
    """

    sources: SourceRegistry
    secrets: SecretStore
    clock: Callable[[], float] = time.monotonic
    _prepared: dict[str, Ready] = field(default_factory=dict)
    _until: dict[str, float] = field(default_factory=dict)

    def at_hand(self, name: str) -> Ready | None:
        """Give a source that was prepared a moment ago; None means nothing but: ask."""
        return self._prepared[name] if self._until.get(name, 0.0) > self.clock() else None

    async def __call__(self, name: str) -> Ready | None:
        """Prepare a source; None when there is none of that name. Raises `Unavailable`, also without its secrets."""
        asked_at = self.clock()
        source = await self.sources.get(name)
        if source is None:
            self._prepared.pop(name, None)
            self._until.pop(name, None)
            return None
        try:
            secrets = tuple([await self.secrets.resolve(reference) for reference in source.secrets])
        except SecretMissing as error:
            raise Unavailable(f"source {source.name} cannot verify: {error}") from error
        known = self._prepared.get(name)
        if known is None or known.source != source or known.secrets != secrets:
            known = self._prepared[name] = Ready(source, secrets, _verifier(source, secrets))
        self._until[name] = asked_at + AT_HAND_SECONDS
        return known


def _verifier(source: Source, secrets: tuple[bytes, ...]) -> Verifier:
    scheme = source.verify
    if scheme is None:
        return lambda _request, _now: UNVERIFIED

    def verify(request: SignedRequest, _now: float | None) -> Verdict:
        return verify_hmac(scheme, request.headers, request.body, secrets)

    return verify
