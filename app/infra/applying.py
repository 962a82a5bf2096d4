"""Wiring for commands that apply configuration: the use case on a database, without anything that serves webhooks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.adapters.postgres.connections import Budget, Connections
from app.adapters.postgres.source_registry import PostgresSourceRegistry
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.file import FileSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.core.use_cases.apply_configuration import ApplyConfiguration
from app.settings import Settings


def secret_stores() -> ReferencedSecrets:
    """Make every store of secrets that this version has."""
    return ReferencedSecrets({"env": EnvironmentSecrets(), "file": FileSecrets()})


@asynccontextmanager
async def applying(settings: Settings, url: str) -> AsyncIterator[ApplyConfiguration]:
    """Lend the use case on the database at `url`."""
    budget = Budget(
        acquire_seconds=max(settings.postgres_acquire_seconds, settings.postgres_connect_seconds),
        connect_seconds=settings.postgres_connect_seconds,
        call_seconds=settings.postgres_append_seconds,
        lock_seconds=settings.postgres_lock_seconds,
        statement_seconds=settings.postgres_statement_seconds,
        idle_in_transaction_seconds=settings.postgres_idle_in_transaction_seconds,
    )
    connections = Connections(url, budget=budget, largest=1)
    try:
        yield ApplyConfiguration(PostgresSourceRegistry(connections), secret_stores())
    finally:
        await connections.close()
