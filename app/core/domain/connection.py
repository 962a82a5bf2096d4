"""A connection: one configured use of a connector."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.core.domain.connector import Json


@dataclass(frozen=True, slots=True)
class Connection:
    """How one outside system is reached."""

    name: str
    """Spelled as a source's."""
    connector: str
    settings: Mapping[str, Json] = field(default_factory=dict)
    """What its connector's schema asks for; never a secret."""
    secrets: tuple[tuple[str, str], ...] = ()
    """References (`env:NAME`, `file:PATH`) by the name that the connector gives them."""
    allow_private: tuple[str, ...] = ()
    """Host names and networks that are not public and may be called all the same."""
