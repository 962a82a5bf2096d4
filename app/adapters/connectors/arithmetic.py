"""Sums that stay exact: integers of any size that JSON readers read, fractions only where a fraction comes in."""

import math
import operator
from collections.abc import Callable, Mapping

from app.core.domain.connector import Action, ActionCall, Described, Done, Effect, Failed, Json, invalid
from app.core.domain.document import kind
from app.core.ports.connector import Connector

Number = int | float

MOST_DIGITS = 4_300
"""Python reads and writes no longer integers as text, unless it is told to: a longer one could never leave as JSON."""
_BOUND = 10**MOST_DIGITS

_FIELDS = ("value", "operand")
_INPUT = {
    "type": "object",
    "properties": {"value": {"type": "number"}, "operand": {"type": "number"}},
    "required": [*_FIELDS],
    "additionalProperties": False,
}
_SUMS: Mapping[str, Callable[[Number, Number], Number]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
}
_TITLES = {
    "add": "Give the sum of value and operand",
    "subtract": "Give value less operand",
    "multiply": "Give the product of value and operand",
}
DESCRIBED = Described(
    name="arithmetic",
    title="Arithmetic: exact sums of whole numbers, and the usual ones of fractions",
    actions=tuple(Action(name, title, Effect.IDEMPOTENT, _INPUT) for name, title in _TITLES.items()),
)


class ArithmeticConnector(Connector):
    """Two numbers in, one out. What is no number that JSON can say is `Failure.INVALID`, before or after the sum."""

    @property
    def described(self) -> Described:
        """Three actions, no settings."""
        return DESCRIBED

    async def run(self, call: ActionCall) -> Done | Failed:
        """Work it out."""
        work_out = _SUMS.get(call.action)
        if work_out is None:
            return invalid(f"arithmetic can {', '.join(_SUMS)}, and nothing else", "unknown_action")
        if fault := _input_fault(call.input):
            return invalid(fault)
        try:
            result = work_out(call.input["value"], call.input["operand"])
        except OverflowError:  # a fraction with a whole number that no fraction comes near
            return invalid("a whole number that large cannot be reckoned with as a fraction", "too_large")
        if isinstance(result, float) and not math.isfinite(result):
            return invalid("the result is larger than any fraction can be", "too_large")
        if isinstance(result, int) and not -_BOUND < result < _BOUND:
            return invalid(f"the result has more than {MOST_DIGITS:,} digits", "too_large")
        return Done(result)

    async def check(self, call: ActionCall) -> Failed | None:
        """Nothing can be wrong."""
        return None


def _input_fault(given: Json) -> str | None:
    if not isinstance(given, dict):
        return f"the input must be an object with value and operand; this is {kind(given)}"
    if not given.keys() <= set(_FIELDS):
        return "the input must have value and operand, and nothing else"
    for name in _FIELDS:
        if name not in given:
            return f"{name} is missing: the input must have value and operand"
        if fault := _number_fault(given[name]):
            return f"{name} {fault}"
    return None


def _number_fault(number: Json) -> str | None:
    if isinstance(number, bool) or not isinstance(number, int | float):
        return f"must be a number; this is {kind(number)}"
    if isinstance(number, float) and not math.isfinite(number):
        return "must be a number that JSON can say: neither NaN nor infinite"
    if isinstance(number, int) and not -_BOUND < number < _BOUND:
        return f"has more than {MOST_DIGITS:,} digits"
    return None
