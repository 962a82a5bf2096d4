"""Making a source ready to take requests in: who sends there, and what proves a request genuine with its secrets."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from app.core.catalog.content import content_of
from app.core.catalog.handshakes import HANDSHAKES
from app.core.catalog.identification import Identifier, identifier
from app.core.catalog.proof import UNVERIFIED, Credentials, SignedRequest, Verdict, Verifier
from app.core.catalog.provider import Provider
from app.core.catalog.rows import Malformed
from app.core.catalog.sources import delivery_of, provider_of, scheme_of, signs_url
from app.core.catalog.verifying import prepare
from app.core.domain.errors import SecretMissing, Unavailable
from app.core.domain.source import Source
from app.core.ports.payload_schemas import PayloadSchemas
from app.core.ports.provider_keys import ProviderKeys
from app.core.ports.secret_store import SecretStore
from app.core.ports.source_registry import SourceRegistry

AT_HAND_SECONDS = 1.0
KEY_IS_FRESH_SECONDS = 60.0
"""A key younger than that is not fetched again because a request claims to be signed by another one."""
ON_THE_WAY_SECONDS = 0.2
"""Of the time that a provider gives for an answer, what the network takes."""
SHORT_SECONDS = 5.0
"""Providers that wait longer than that leave us all the time we take."""
MOST_KEYS = 8
"""Of one source at hand at once; certificates and keys of a provider change now and then."""


class Ready(NamedTuple):
    """A source, and all that is needed to judge a request to it."""

    source: Source
    provider: Provider
    credentials: Credentials
    verify: Verifier
    identify: Identifier
    """Tells its deliveries apart, and names them."""
    judge: Callable[[SignedRequest], str | None] | None
    """Says what of a payload does not fit the source's schema; None: it has none."""
    shakes_hands: bool
    """Its provider sends challenges."""
    signs_url: bool
    """The address that the provider was given is signed."""
    budget_seconds: float | None = None
    """What its provider leaves us to answer in, where that is less than we take; None: it leaves us time."""
    missing: str = ""
    """Why nothing can be verified: a secret is not there, and only challenges can be answered."""


@dataclass(frozen=True, slots=True)
class PrepareSource:
    """Prepares each source once for its secrets and keys, and keeps it at hand for a second.

    So most requests find what they need without waiting, and every change of a source, secret or key is seen soon.
    """

    sources: SourceRegistry
    secrets: SecretStore
    keys: ProviderKeys
    schemas: PayloadSchemas
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
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
        known = self._prepared.get(name)
        if known is not None and known.source != source:
            known = None
        try:
            credentials = await self._credentials(source, known)
        except SecretMissing as error:
            return _without_secret(source, error)
        if known is None or known.credentials != credentials:
            known = self._prepared[name] = ready(source, credentials, self.schemas)
        self._until[name] = asked_at + AT_HAND_SECONDS
        return known

    async def with_key(self, known: Ready, url: str) -> Ready:
        """Prepare a source with a key more. Raises `KeyMissing` when its provider has none there, `Unavailable`."""
        keys = known.credentials.keys
        key = await self.keys.get(url, max_age_seconds=KEY_IS_FRESH_SECONDS if url in keys else None)
        kept = dict(list(keys.items())[-(MOST_KEYS - 1) :]) | {url: key}
        more = ready(known.source, known.credentials._replace(keys=kept), self.schemas)
        if self._prepared.get(known.source.name) is known:
            self._prepared[known.source.name] = more
        return more

    async def _credentials(self, source: Source, known: Ready | None) -> Credentials:
        secrets = await self._secrets(source)
        settings = {name: await self._setting(value) for name, value in source.settings}
        return Credentials(tuple(secrets), settings, await self._renewed(known.credentials.keys) if known else {})

    async def _secrets(self, source: Source) -> list[bytes]:
        """Give the secrets that still prove something; whoever removed one after its last moment is not missed."""
        expiries = dict(source.expiries)
        now = self.now()
        secrets: list[bytes] = []
        for reference in source.secrets:
            if reference not in expiries or now <= expiries[reference]:
                secrets += await self.secrets.resolve_all(reference)
        return secrets

    async def _setting(self, value: str) -> str:
        """Give a setting as it stands, or what it refers to."""
        if self.secrets.fault(value) is not None:
            return value
        return (await self.secrets.resolve(value)).decode("utf-8", "surrogateescape")

    async def _renewed(self, keys: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Give the keys as they are now; one that cannot be had any more is asked for when it is wanted again."""
        renewed = {}
        for url in keys:
            try:
                renewed[url] = await self.keys.get(url)
            except Unavailable:
                continue
        return renewed


def _without_secret(source: Source, error: SecretMissing) -> Ready:
    """Make a source ready to answer challenges alone: some bring the very secret that is missing."""
    missing = f"source {source.name} cannot verify: {error}"
    provider = provider_of(source)
    if provider.name not in HANDSHAKES:
        raise Unavailable(missing) from error
    return Ready(
        source,
        provider,
        Credentials(),
        _unverified,
        identifier(delivery_of(source)),
        None,
        True,
        False,
        _budget(provider),
        missing,
    )


def _judge(source: Source, provider: Provider, schemas: PayloadSchemas) -> Callable[[SignedRequest], str | None] | None:
    schema = source.schema
    if schema is None:
        return None

    def judge(request: SignedRequest) -> str | None:
        content = content_of(request, provider.delivery.content)
        if content.unreadable is not None:
            return content.unreadable
        return schemas.fault(schema, content.value)

    return judge


def _budget(provider: Provider) -> float | None:
    if provider.answer_seconds is None or provider.answer_seconds > SHORT_SECONDS:
        return None
    return max(provider.answer_seconds - ON_THE_WAY_SECONDS, ON_THE_WAY_SECONDS)


def ready(source: Source, credentials: Credentials, schemas: PayloadSchemas) -> Ready:
    """Make a source ready with what it verifies by. Raises `Unavailable` where that cannot be used."""
    verify: Verifier = _unverified
    url_is_signed = False
    if source.verify is not None:
        try:
            scheme = scheme_of(source.provider, source.verify)
            freshness = scheme.freshness
            if source.tolerance_seconds is not None:
                freshness = freshness._replace(tolerance_seconds=source.tolerance_seconds)
            verify = prepare(scheme, credentials, freshness)
        except (Malformed, ValueError) as error:
            raise Unavailable(f"source {source.name} cannot verify: {error}") from None
        url_is_signed = signs_url(scheme)
    provider = provider_of(source)
    return Ready(
        source,
        provider,
        credentials,
        verify,
        identifier(delivery_of(source)),
        _judge(source, provider, schemas),
        provider.name in HANDSHAKES,
        url_is_signed,
        _budget(provider),
    )


def _unverified(_request: SignedRequest, _now: float | None) -> Verdict:
    return UNVERIFIED
