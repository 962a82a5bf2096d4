"""Applying documents to a configuration in memory."""

from app.adapters.memory.configuration import MemoryConfiguration
from app.adapters.schemas.json_schema import JsonSchemas
from app.core.ports.secret_store import SecretStore
from app.core.use_cases.apply_configuration import ApplyConfiguration


def applying(secrets: SecretStore, kept: MemoryConfiguration | None = None) -> ApplyConfiguration:
    """Make the use case, on what is kept or on nothing so far."""
    kept = kept or MemoryConfiguration()
    return ApplyConfiguration(kept, kept.sources, secrets, JsonSchemas())
