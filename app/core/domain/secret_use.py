"""A source's use of a secret: which one, and until when. Several overlap while one is being replaced."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SecretUse:
    """A reference (`env:NAME`, `file:PATH`), never a value, and the last moment at which it proves anything."""

    reference: str
    not_after: datetime | None = None
    """In UTC; None: for ever."""


def usable(secrets: Sequence[SecretUse], now: datetime) -> tuple[SecretUse, ...]:
    """Give those that may still prove a request received at `now`, in their order."""
    return tuple(use for use in secrets if use.not_after is None or now <= use.not_after)
