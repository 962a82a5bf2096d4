"""Making a source ready to take requests in: what it is, and what proves a request genuine with its present secrets."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from app.core.catalog.proof import UNVERIFIED, SignedRequest, Verdict, Verifier
from app.core.catalog.signatures import verify_hmac
from app.core.domain.errors import SecretMissing, Unavailable
from app.core.domain.source import Source
from app.core.ports.provider_keys import ProviderKeys
from app.core.ports.secret_store import SecretStore
from app.core.ports.source_registry import SourceRegistry

AT_HAND_SECONDS = 1.0
KEY_IS_FRESH_SECONDS = 60.0
"""A key younger than that is not fetched again because a request claims to be signed by another one."""
MOST_KEYS = 8
"""Of one source at hand at once; certificates and keys of a provider change now and then."""


class Ready(NamedTuple):
    """A source, and what it verifies with."""

    source: Source
    secrets: tuple[bytes, ...]
    keys: Mapping[str, bytes]
    """What was fetched of its provider, by URL."""
    verify: Verifier


@dataclass(frozen=True, slots=True)
class PrepareSource:
    """Prepares each source once for its secrets and keys, and keeps it at hand for a second.

    So most requests find what they need without waiting, and every change of a source, secret or key is seen soon.
    """

    sources: SourceRegistry
    secrets: SecretStore
    keys: ProviderKeys
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
        keys = await self._renewed(known.keys) if known is not None and known.source == source else {}
        if known is None or known.source != source or known.secrets != secrets or known.keys != keys:
            known = self._prepared[name] = Ready(source, secrets, keys, _verifier(source, secrets, keys))
        self._until[name] = asked_at + AT_HAND_SECONDS
        return known

    async def with_key(self, ready: Ready, url: str) -> Ready:
        """Prepare a source with a key more. Raises `KeyMissing` when its provider has none there, `Unavailable`."""
        fresh = KEY_IS_FRESH_SECONDS if url in ready.keys else None
        key = await self.keys.get(url, max_age_seconds=fresh)
        kept = dict(list(ready.keys.items())[-(MOST_KEYS - 1) :]) | {url: key}
        source, secrets = ready.source, ready.secrets
        more = Ready(source, secrets, kept, _verifier(source, secrets, kept))
        if self._prepared.get(source.name) is ready:
            self._prepared[source.name] = more
        return more

    async def _renewed(self, keys: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Give the keys as they are now; one that cannot be had any more is asked for when it is wanted again."""
        renewed = {}
        for url in keys:
            try:
                renewed[url] = await self.keys.get(url)
            except Unavailable:
                continue
        return renewed


def _verifier(source: Source, secrets: tuple[bytes, ...], _keys: Mapping[str, bytes]) -> Verifier:
    scheme = source.verify
    if scheme is None:
        return lambda _request, _now: UNVERIFIED

    def verify(request: SignedRequest, _now: float | None) -> Verdict:
        return verify_hmac(scheme, request.headers, request.body, secrets)

    return verify
