"""Gives back what it is given: the no-op of tries and benchmarks."""

from app.core.domain.connector import Action, ActionCall, Described, Done, Effect, Failed
from app.core.ports.connector import Connector

DESCRIBED = Described(
    name="echo",
    title="Echo: gives back what it is given",
    actions=(Action("echo", "Give the input back, unchanged", Effect.IDEMPOTENT, {}),),
)


class EchoConnector(Connector):
    """Looks at nothing, not even at whether JSON could say it."""

    @property
    def described(self) -> Described:
        """One action, no settings."""
        return DESCRIBED

    async def run(self, call: ActionCall) -> Done | Failed:
        """Give the input back."""
        return Done(call.input)

    async def check(self, call: ActionCall) -> Failed | None:
        """Nothing can be wrong."""
        return None
