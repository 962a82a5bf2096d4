"""From when to when a token holds, by its own claims (RFC 7519)."""

from typing import Any

from app.core.catalog.proof import Freshness
from app.core.catalog.schemes.refused import Refused, refuse_if
from app.core.catalog.timestamps import judge_age

_LATEST = 10**15
NOT_BEFORE_LEEWAY_SECONDS = 60.0
"""How far a sender's clock may be ahead of ours when it says from when on a token holds."""


def judge_lifetime(claims: dict[str, Any], now: float | None) -> None:
    """Refuse a token after its own end (`exp`) and before its own beginning (`nbf`), where it names them.

    A token states its end itself, so no tolerance of ours stretches it.
    """
    ends, begins = moment(claims, "exp"), moment(claims, "nbf")
    if now is None:
        return
    if ends is not None and now > ends:
        raise Refused("timestamp_too_old", f"the token ended {now - ends:.0f} s ago")
    if begins is not None and now < begins - NOT_BEFORE_LEEWAY_SECONDS:
        raise Refused("timestamp_in_the_future", f"the token begins to hold in {begins - now:.0f} s")


def judge_issued(claims: dict[str, Any], freshness: Freshness, now: float | None) -> None:
    """Refuse a token issued (`iat`) longer ago than the tolerance, where it says when."""
    issued = moment(claims, "iat")
    if issued is not None and now is not None:
        refuse_if(judge_age(freshness, now - issued))


def moment(claims: dict[str, Any], name: str) -> float | None:
    """Read a claim that is a time in seconds; None: there is none."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST:
        raise Refused("timestamp_malformed", f"{name} of the token cannot be read as a time")
    return float(value)
