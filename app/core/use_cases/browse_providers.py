"""Looking at the catalogue: who can send, and what to paste where."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.catalog import catalogue
from app.core.catalog.provider import Provider
from app.core.use_cases.browse_sources import PATH

SOMEWHERE = "https://YOUR-HOST"


@dataclass(frozen=True, slots=True)
class BrowseProviders:
    """List all, show one, and say which address to give it."""

    public_url: str = ""
    """Under which providers reach this; empty: it was not said."""

    def all(self) -> Sequence[Provider]:
        """Give every provider, by name."""
        return catalogue.providers()

    def get(self, name: str) -> Provider | None:
        """Give the one of a name, in which hyphens and underscores are the same."""
        return catalogue.find(name)

    def address(self, provider: Provider) -> str:
        """Give the address of a source that is named like the provider."""
        base = (self.public_url or SOMEWHERE).rstrip("/")
        return f"{base}{PATH}{provider.name.replace('_', '-')}"
