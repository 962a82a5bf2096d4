"""The use case of intake on memory, with nothing around it but what a test brings."""

from collections.abc import Awaitable, Callable
from typing import Any

from app.adapters.memory.provider_keys import MemoryProviderKeys
from app.adapters.schemas.json_schema import JsonSchemas
from app.core.catalog.handshakes import HandshakeAnswer
from app.core.domain.errors import NotPending
from app.core.domain.refusal import NewRefusal
from app.core.domain.source import Source
from app.core.policies.group_commit import GroupCommit
from app.core.ports.event_store import EventStore
from app.core.ports.secret_store import SecretStore
from app.core.ports.source_registry import SourceRegistry
from app.core.use_cases.ingest_webhook import IngestWebhook
from app.core.use_cases.prepare_source import PrepareSource


async def no_registration(source: Source, _secret: bytes) -> None:
    """Expect no secret of anybody."""
    raise NotPending(f"source {source.name} expects no secret")


def intake_on(
    sources: SourceRegistry,
    secrets: SecretStore,
    store: EventStore,
    *,
    noted: Callable[[NewRefusal], None] = lambda _: None,
    offer: Callable[[Source, bytes], Awaitable[None]] = no_registration,
    followed: Callable[[Source, HandshakeAnswer], None] = lambda *_: None,
    **more: Any,
) -> IngestWebhook:
    """Put it together."""
    prepare = PrepareSource(sources, secrets, MemoryProviderKeys({}), JsonSchemas())
    return IngestWebhook(prepare, GroupCommit(store), noted, offer, followed, **more)
