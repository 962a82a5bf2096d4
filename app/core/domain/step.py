"""A step: one action of one connection within a job, what is planned of it and how far it got."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from app.core.domain.connector import Json
from app.core.domain.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What a step is to do; it is kept with the job, so that what changes later leaves the job as it is."""

    name: str
    use: str
    """The connection, or a connector that needs no settings."""
    action: str
    input: Mapping[str, Json] | None = None
    """Its input, with `${…}` expressions; None: the job's payload as it is."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)


class StepStatus(StrEnum):
    """How far a step got."""

    PENDING = "pending"
    RUNNING = "running"
    """Its intent is recorded: it may have had its effect."""
    COMPLETED = "completed"
    ERROR = "error"
    """Its last try failed."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """How far a step got in the present run of its job."""

    name: str
    status: StepStatus = StepStatus.PENDING
    output: Json = None
    error_message: str | None = None
    code: str | None = None
    """The short word of its last failure."""
    tries: int = 0
    """Within its retry policy."""
    first_tried: float | None = None
    """Seconds since the epoch, by the worker's clock; the policy's total age is counted from then."""
    key: str | None = None
    """The idempotency key of its effect, once an intent was recorded."""


def idempotency_key(origin: str, flow: str, step: str, run: int, item: int = 0) -> str:
    """Make the key of one effect: the same on every attempt, another for a deliberate re-run.

    `origin` is the event's id, or the job's where there is no event. 32 hexadecimal digits.
    """
    parts = "\0".join((origin, flow, step, str(item), str(run)))
    return sha256(parts.encode()).hexdigest()[:32]


def resumed(steps: Sequence[StepRecord]) -> tuple[StepRecord, ...]:
    """Give the steps of a job that a person lets go on: what is done stays, the others have all their tries again."""
    return tuple(step if step.status is StepStatus.COMPLETED else StepRecord(step.name) for step in steps)
