"""What differs between two versions of something, in the words in which a person writes it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that changed. None: it was, or is, not given."""

    field: str
    """As it is written: `verify.header`."""
    old: str | None
    new: str | None

    def __str__(self) -> str:
        return f"{self.field}: {self.old or 'not given'} → {self.new or 'not given'}"


def compared(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> tuple[Difference, ...]:
    """Compare two versions, each written field by field; in the order of the new one."""
    return tuple(
        Difference(field, before.get(field), after.get(field))
        for field in dict.fromkeys([*after, *before])
        if before.get(field) != after.get(field)
    )
