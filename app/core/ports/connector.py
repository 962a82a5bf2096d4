"""A kind of outside system: what it can be asked to do."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from app.core.domain.connector import ActionCall, Described, Done, Failed
from app.core.ports.outgoing import Outgoing


class Connector(Protocol):
    """One kind of outside system. Nothing of a connection is held: calls bring all they need. Safe for many at once."""

    @property
    @abstractmethod
    def described(self) -> Described:
        """What it can do; the same at every look."""

    @abstractmethod
    async def run(self, call: ActionCall) -> Done | Failed:
        """Try an action of its own, once, and say what became of it, within `call.seconds`.

        Every trouble that can be foreseen is a `Failed`, sorted by what another try would mean; what is raised all the
        same counts as `Failure.RETRY`, with an outcome that nobody knows. Input that does not fit is `Failure.INVALID`,
        and nothing was sent. Cancelling it ends what is under way.
        """

    @abstractmethod
    async def check(self, call: ActionCall) -> Failed | None:
        """Tell whether a connection would work, without an effect; None: as far as one sees. `call.input` is None."""


@dataclass(frozen=True, slots=True)
class ConnectorContext:
    """What a process offers to the connectors that it makes."""

    outgoing: Outgoing
    """The guarded client. Who goes out by any other way goes past what operators have allowed."""


MakeConnector = Callable[[ConnectorContext], Connector]
"""What an entry point of the group `opsconnect.connectors` names. It is called once, and connects to nothing."""
