"""Can webhooks be taken in? What the load balancer, the operator and the deployment ask."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.core.domain.errors import OpsConnectError
from app.core.ports.probe import Probe


@dataclass(frozen=True, slots=True)
class Health:
    """`healthy`; `degraded`: webhooks come in, something beside that is amiss; `unhealthy`: they cannot be kept."""

    status: Literal["healthy", "degraded", "unhealthy"]
    reason: str | None = None
    latencies_ms: dict[str, float] = field(default_factory=dict)
    """By the probe's name, of those that answered."""


@dataclass(frozen=True, slots=True)
class CheckHealth:
    """Ask every dependency at once. Never raises."""

    needed: Sequence[Probe]
    """Without one of these nothing can be kept."""
    wanted: Sequence[Probe]
    """Without one of these everything is kept, but slower or with fewer shields."""

    async def __call__(self) -> Health:
        """Give the verdict with its reasons."""
        latencies: dict[str, float] = {}
        failures: dict[str, str] = {}

        async def ask(probe: Probe) -> None:
            try:
                latencies[probe.name] = await probe.check()
            except OpsConnectError as error:
                failures[probe.name] = str(error)

        await asyncio.gather(*(ask(probe) for probe in (*self.needed, *self.wanted)))
        missing = [failures[probe.name] for probe in self.needed if probe.name in failures]
        status: Literal["healthy", "degraded", "unhealthy"] = (
            "unhealthy" if missing else "degraded" if failures else "healthy"
        )
        return Health(status, "; ".join(missing or failures.values()) or None, latencies)
