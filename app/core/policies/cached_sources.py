"""Sources kept at hand: the webhook path finds one without waiting."""

from app.core.domain.source import Source
from app.core.policies.cached_registry import CachedRegistry
from app.core.ports.source_registry import SourceRegistry


class CachedSources(CachedRegistry[Source], SourceRegistry):
    """Every source that is known, in this process."""

    kind = "source"
    name = "source refresh"
