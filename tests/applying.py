"""Applying documents to a configuration in memory, with connectors that are enough for it."""

from dataclasses import dataclass

from app.adapters.memory.audit_log import MemoryAuditLog
from app.adapters.memory.configuration import MemoryConfiguration
from app.adapters.schemas.json_schema import JsonSchemas
from app.core.domain.connector import Action, ActionCall, Described, Done, Effect, Failed
from app.core.ports.audit_log import AuditLog
from app.core.ports.connector import Connector
from app.core.ports.secret_store import SecretStore
from app.core.use_cases.apply_configuration import ApplyConfiguration


@dataclass
class Repeating(Connector):
    """Gives its input back, whatever it is called and asked."""

    what: Described

    @property
    def described(self) -> Described:
        return self.what

    async def run(self, call: ActionCall) -> Done | Failed:
        return Done(call.input)

    async def check(self, call: ActionCall) -> Failed | None:
        return None


def action(name: str) -> Action:
    return Action(name, name.title(), Effect.IDEMPOTENT, {})


ECHO = Described("echo", "Echo", (action("echo"),))
HTTP = Described(
    "http",
    "HTTP",
    (action("post"), action("get"), action("put")),
    settings_schema={
        "type": "object",
        "properties": {
            "base_url": {"type": "string", "pattern": "^https?://", "description": "what all paths are put behind"},
            "headers": {"type": "object", "additionalProperties": {"type": "string"}},
            "retries": {"type": "array", "items": {"type": "integer", "minimum": 1}},
            "most": {"type": "integer"},
            "auth": {"type": "object"},
        },
        "required": ["base_url"],
        "additionalProperties": False,
    },
    secrets={"token": "Bearer token", "password": "Of Basic authentication"},
)
KAFKA = Described("kafka", "Kafka", (action("produce"),), settings_schema={"type": "object"})
CONNECTORS = {what.name: Repeating(what) for what in (ECHO, HTTP, KAFKA)}


def applying(
    secrets: SecretStore, kept: MemoryConfiguration | None = None, audit: AuditLog | None = None
) -> ApplyConfiguration:
    """Make the use case, on what is kept or on nothing so far."""
    kept = kept or MemoryConfiguration()
    return ApplyConfiguration(
        kept, kept.sources, kept.connections, CONNECTORS, secrets, JsonSchemas(), audit or MemoryAuditLog()
    )
