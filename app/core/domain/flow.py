"""Flows: ordered chains of steps. So far there is the one that is built in."""

from app.core.domain.step import StepPlan

PIPELINE = "pipeline"
"""The name of the built-in flow: add 5, multiply by 2, subtract 10."""


def _arithmetic(name: str, action: str, value: str, operand: int) -> StepPlan:
    return StepPlan(name, "arithmetic", action, {"value": value, "operand": operand})


PIPELINE_STEPS = (
    _arithmetic("add", "add", "${event.body.initial_value}", 5),
    _arithmetic("multiply", "multiply", "${steps.add.output}", 2),
    _arithmetic("subtract", "subtract", "${steps.multiply.output}", 10),
)
