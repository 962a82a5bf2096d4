"""A connector as the rest sees it: what it can do, what it is asked, and what became of that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from app.core.domain.address import NOTHING_PRIVATE, AllowPrivate

Json = Any
"""What JSON can say, integers of any size included: dict, list, str, int, float, bool or None."""

NO_SETTINGS: Mapping[str, Json] = {"type": "object", "properties": {}, "additionalProperties": False}


class Effect(StrEnum):
    """What it means to run an action a second time, when nobody knows how the first time ended."""

    IDEMPOTENT = "idempotent"
    """The same as once."""
    KEYED = "keyed"
    """The same as once, where the other side honours the idempotency key that goes with it."""
    UNSAFE = "unsafe"
    """Perhaps another effect: it is not run again before a person has looked."""


class Failure(StrEnum):
    """What a failure means for another try; retry policies go by it."""

    RETRY = "retry"
    """It may pass: the other side is away, slow or broken."""
    THROTTLED = "throttled"
    """The other side wants fewer; it may have said when to come again."""
    PERMANENT = "permanent"
    """The other side has refused it, and will most likely refuse it again."""
    INVALID = "invalid"
    """The input, the settings or a secret is wrong: there was nothing to send, and trying again cannot help."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a connector can do."""

    name: str
    title: str
    """What it does, in one line for a person."""
    effect: Effect
    input_schema: Mapping[str, Json]
    """A JSON Schema of what `ActionCall.input` may be; for people and forms. The action itself still looks."""


@dataclass(frozen=True, slots=True)
class Described:
    """A connector, as people and programs choose one."""

    name: str
    title: str
    actions: tuple[Action, ...]
    """At least one; the first is what is meant where nobody names one."""
    settings_schema: Mapping[str, Json] = field(
        default_factory=lambda: {"type": "object", "additionalProperties": False}
    )
    """A JSON Schema of a connection's settings."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """The secrets that a connection may give by reference: their names, and what each is."""

    def action(self, name: str | None) -> Action | None:
        """Find an action by its name; None names the first."""
        return next((action for action in self.actions if name in {None, action.name}), None)

    @property
    def needs_settings(self) -> bool:
        """Tell whether it cannot be used without a connection that configures it."""
        return bool(self.settings_schema.get("required"))


@dataclass(frozen=True, slots=True)
class ActionCall:
    """One attempt at one step."""

    action: str
    input: Json
    """What a person wrote for the action, filled in, unless `whole` is set."""
    settings: Mapping[str, Json]
    """The connection's; they fit the schema."""
    secrets: Mapping[str, bytes]
    """By name, resolved just now."""
    allow_private: AllowPrivate = NOTHING_PRIVATE
    """Which addresses that are not public the connection opens, for the guarded client."""
    key: str = ""
    """The idempotency key: the same on every attempt, another for every effect that is wanted."""
    attempt: int = 1
    """Counted from 1."""
    traceparent: str = ""
    """The W3C context of the attempt's span, to be sent along."""
    seconds: float = 30.0
    """For all of it."""
    whole: bool = False
    """True: the input is a payload as it came, written by a stranger, and is to be taken as a value.

    An action whose input describes what to do (a path, a header, a body) must not read such a description out of it:
    who sends payloads would choose the path.
    """


class Done(NamedTuple):
    """The action has had its effect."""

    output: Json


@dataclass(frozen=True, slots=True)
class Failed:
    """The action has not had its effect, as far as anybody knows."""

    failure: Failure
    code: str
    """A short word that stays the same for the same trouble, such as `http_503`: failures are grouped by it."""
    message: str
    """For a person: what happened, where, what to do. Never a secret."""
    retry_after_seconds: float | None = None
    """When the other side wants to be asked again."""
    maybe_done: bool = False
    """True: it was sent, and nobody knows whether it was carried out."""


def invalid(message: str, code: str = "invalid_input") -> Failed:
    """Say that there was nothing to do or to send, because of what a person wrote."""
    return Failed(Failure.INVALID, code, message)
