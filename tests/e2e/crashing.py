"""Named points at which a worker ends as by `kill -9`: at random such moments are hardly ever hit.

They come in as a plugin that a test installs for one process: nothing of them is in what is shipped. CRASH_AT
says which one, and at the how-manieth time, as in `after-effect:7`.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

from app.adapters.connectors.echo import DESCRIBED as ECHO
from app.adapters.connectors.echo import EchoConnector
from app.adapters.connectors.http import HttpConnector
from app.adapters.postgres.job_claims import PostgresJobClaims
from app.adapters.postgres.workers import PostgresWorkers
from app.core.ports.connector import Connector, ConnectorContext

EXIT_CODE = 9
POINTS: dict[str, tuple[type, str, str, int]] = {
    "after-claim": (PostgresJobClaims, "claim", "after", 12),
    "before-effect": (HttpConnector, "run", "before", 120),
    "after-effect": (HttpConnector, "run", "after", 120),
    "before-mark": (PostgresJobClaims, "settle", "before", 12),
    "after-mark": (PostgresJobClaims, "settle", "after", 12),
    "after-intent": (PostgresJobClaims, "record", "after", 12),
    "mid-heartbeat": (PostgresWorkers, "renew", "after", 2),
}
"""Where each is, and how often it is passed, at most, before somebody ends there."""


def make(_context: ConnectorContext) -> Connector:
    """Give a connector that nobody uses, and set the trap."""
    name, _, times = os.environ.get("CRASH_AT", "").partition(":")
    if name:
        _set_trap(*POINTS[name][:3], int(times))
    return _Crashing()


class _Crashing(EchoConnector):
    @property
    def described(self) -> Any:
        return type(ECHO)("crashing", ECHO.title, ECHO.actions)


def _set_trap(kind: Any, method: str, when: str, times: int) -> None:
    passed: Callable[..., Awaitable[Any]] = getattr(kind, method)
    left = times

    async def trapped(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        if when == "before":
            left -= 1
            _end_at(left)
        result = await passed(*arguments, **named)
        if when == "after" and result:  # a claim of nothing is none
            left -= 1
            _end_at(left)
        return result

    setattr(kind, method, trapped)


def _end_at(left: int) -> None:
    if not left:
        os._exit(EXIT_CODE)
