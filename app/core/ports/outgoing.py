"""Calling other people's servers by HTTP: the one way out of this process for an address that somebody else chose."""

from abc import abstractmethod
from typing import Protocol

from app.core.domain.outgoing import OutgoingAnswer, OutgoingRequest


class Outgoing(Protocol):
    """A client that goes nowhere where it was not allowed to go, and waits for nobody for long."""

    @abstractmethod
    async def send(self, request: OutgoingRequest) -> OutgoingAnswer:
        """Send the request, once, and give the answer, whatever its status.

        The address that is really dialled decides: public ones, and those that `request.allow_private` opens. Any port
        will do. A name with several addresses is tried at those that are allowed. No redirect is followed, no proxy of
        the environment is used, no cookie is kept, and nothing is sent a second time, not even on a connection that
        turns out to be dead. A connection may be used again, but only by requests with an equal `allow_private`.
        `User-Agent` is ours where the request has none. Safe to call from many tasks.

        Raises `Invalid` for a request that cannot be sent as it is and `Forbidden` for a destination that is not
        allowed: the same call fails again. Raises `Unreachable` when nothing was sent (`Untrusted`: TLS did not prove
        the other side; `ConnectingTooSlow`), and `AnswerLost` when it was and no whole answer came (`AnswerTooSlow`).
        It ends within `request.seconds`, and sooner where looking up the name, connecting, the TLS handshake, or the
        other side's silence take longer than the client allows each. Cancelling it closes the connection.
        """
