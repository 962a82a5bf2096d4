"""How much intake takes on at once. What is beyond that is turned away at its head, before its body is read.

Two things are bounded: webhooks that came whole and wait for their answer, and bytes of bodies that are here, those of
half a request included. Turned away, a sender comes back after its Retry-After; taken on without a bound, everybody
would wait too long and be told 503 after all, with the memory used up meanwhile.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Admission:
    """What one process has in hand."""

    most_requests: int
    most_bytes: int
    requests: int = 0
    bytes: int = 0

    @property
    def full(self) -> bool:
        """Whether a new webhook is turned away."""
        return self.requests >= self.most_requests or self.bytes >= self.most_bytes
