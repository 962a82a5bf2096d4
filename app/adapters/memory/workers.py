"""The workers' leases in memory, for tests."""

from datetime import timedelta

from app.adapters.memory.jobs import Jobs
from app.core.ports.workers import Workers


class MemoryWorkers(Workers):
    """The in-process twin: its clock is that of the jobs."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def enlist(self, worker: str, name: str, lease_seconds: float) -> None:
        """Note when it ends; what people call it is of no use here."""
        self._jobs.leases[worker] = self._jobs.clock() + timedelta(seconds=lease_seconds)

    async def renew(self, worker: str, lease_seconds: float) -> bool:
        """Note when it ends, unless it has."""
        at = self._jobs.clock()
        if self._jobs.leases.get(worker, at) <= at:
            return False
        self._jobs.leases[worker] = at + timedelta(seconds=lease_seconds)
        return True

    async def leave(self, worker: str) -> None:
        """Forget it."""
        self._jobs.leases.pop(worker, None)
