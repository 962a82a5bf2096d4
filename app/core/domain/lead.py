"""A lead: the one content that is judged before it is kept (`POST /webhook`)."""

import re
from dataclasses import dataclass

from app.core.domain.body import Unreadable, read_json
from app.core.domain.errors import Fault

FIELDS = ("lead_id", "email", "first_name", "last_name", "source")
LONGEST_FIELD = 1024
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")


@dataclass(frozen=True, slots=True)
class Lead:
    """What intake needs of a valid lead; everything else stays in the body."""

    lead_id: str


def read_lead(body: bytes) -> Lead | tuple[Fault, ...]:
    """Read a lead, or say everything that keeps it from being one (`where` is the field, or `body`)."""
    parsed = read_json(body) if body else Unreadable("the body is empty")
    if isinstance(parsed, Unreadable):
        return (Fault("body", parsed.reason),)
    if not isinstance(parsed.value, dict):
        return (Fault("body", "must be a JSON object"),)
    faults = tuple(fault for name in FIELDS if (fault := _fault_of(name, parsed.value.get(name))))
    return faults or Lead(parsed.value["lead_id"])


def _fault_of(name: str, value: object) -> Fault | None:
    if value is None:
        return Fault(name, "is required")
    if not isinstance(value, str):
        return Fault(name, "must be a string")
    if not value.strip():
        return Fault(name, "must not be empty")
    if len(value) > LONGEST_FIELD:
        return Fault(name, f"must have at most {LONGEST_FIELD} characters")
    if name == "email" and not _EMAIL.fullmatch(value):
        return Fault(name, "must be an e-mail address")
    return None
