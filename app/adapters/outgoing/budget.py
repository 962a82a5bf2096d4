"""How long calls to other systems may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AttemptBudget:
    """The longest that each part of an attempt may take."""

    dns_seconds: float = 2.0
    tcp_seconds: float = 3.0
    """For all addresses of a name together."""
    tls_seconds: float = 5.0
    first_byte_seconds: float = 15.0
    """From the request's last byte to the answer's first, and between two pieces of the answer."""
