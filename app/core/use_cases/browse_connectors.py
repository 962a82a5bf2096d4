"""Looking at the registry of connectors: what can be asked of which kind of outside system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.domain.connector import Described
from app.core.ports.connector import Connector


@dataclass(frozen=True, slots=True)
class BrowseConnectors:
    """List all of them."""

    connectors: Mapping[str, Connector]

    def all(self) -> Sequence[Described]:
        """Give what every connector says of itself, by name."""
        return [connector.described for _, connector in sorted(self.connectors.items())]
