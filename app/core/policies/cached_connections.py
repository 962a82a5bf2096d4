"""Connections kept at hand: a worker finds one without waiting, and sees a change within seconds."""

from app.core.domain.connection import Connection
from app.core.policies.cached_registry import CachedRegistry
from app.core.ports.connection_registry import ConnectionRegistry


class CachedConnections(CachedRegistry[Connection], ConnectionRegistry):
    """Every connection that is known, in this process."""

    kind = "connection"
    name = "connection refresh"
