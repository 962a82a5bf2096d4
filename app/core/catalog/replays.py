"""Whether the same delivery can be had in again under another id, by whoever has captured it once.

Most senders sign the body alone. The header that tells their deliveries apart can then be replaced, and where no time
is signed either, a captured request stays genuine for ever: only its bytes give it away.
"""

from collections.abc import Iterable
from functools import lru_cache

from app.core.catalog.events import LEAD_DELIVERY_ID, LEAD_SOURCE
from app.core.catalog.provider import Coded, Delivery, Mac, Place, Scheme
from app.core.catalog.rows import Malformed
from app.core.catalog.sources import delivery_of, scheme_of
from app.core.catalog.template import compile_template
from app.core.domain.source import Source

_SIGN_NO_TIME = frozenset(
    {"adyen_standard", "ebay", "graph_client_state", "mandrill", "netlify", "segment_batch", "twilio", "wise"}
)
"""Schemes with code in which nothing says when a request was signed."""
_TOKEN_ENDS = frozenset({"google_chat", "google_oidc", "jira_connect", "monday", "wix"})
"""Schemes with code whose tokens always state their own end, which is judged whatever the tolerance."""
_SIGNED_HEADERS = {
    "fal": frozenset({"x-fal-webhook-request-id"}),
    "kick": frozenset({"kick-event-message-id"}),
    "standardwebhooks_v1a": frozenset({"webhook-id", "svix-id"}),
}
"""Headers with an id that schemes with code sign."""


@lru_cache(maxsize=4096)
def takes_new_ids(source: Source) -> bool:
    """Tell whether a captured delivery to this source passes at any time, under any number of ids.

    No, where nothing is verified: there anybody may send anything. No, where the body alone tells deliveries apart.
    """
    if source.verify is None:
        return False
    try:
        scheme = scheme_of(source.provider, source.verify)
    except Malformed:
        return False  # it can verify nothing, so it takes nothing in
    headers = set(_headers(delivery_of(source)))
    if source.name == LEAD_SOURCE:
        headers.add(LEAD_DELIVERY_ID.decode())
    tolerance = scheme.freshness.tolerance_seconds if source.tolerance_seconds is None else source.tolerance_seconds
    return not headers <= _signed_headers(scheme) and not _judges_time(scheme, tolerance)


def _headers(delivery: Delivery) -> Iterable[str]:
    """Give the headers that the delivery key depends on. A claim is no header: the token around it is signed."""
    if delivery.whole_body:
        return
    for way in (*delivery.id, *delivery.distinct_by):
        for part in way:
            if isinstance(part, Place) and part.kind == "header":
                yield part.name


def _signed_headers(scheme: Scheme) -> frozenset[str]:
    proof = scheme.proof
    if isinstance(proof, Mac):
        return frozenset(name for names in compile_template(proof.template).headers for name in names)
    return _SIGNED_HEADERS.get(proof.name, frozenset()) if isinstance(proof, Coded) else frozenset()


def _judges_time(scheme: Scheme, tolerance: float | None) -> bool:
    """Tell whether a request is refused when it is old, by a time that nobody can change."""
    proof = scheme.proof
    if isinstance(proof, Coded):
        return proof.name in _TOKEN_ENDS or (tolerance is not None and proof.name not in _SIGN_NO_TIME)
    if not isinstance(proof, Mac) or proof.timestamp is None or tolerance is None:
        return False
    # The body is part of every template, and with it a time that stands there.
    return (
        proof.timestamp.place == "body"
        or compile_template(proof.template).has_timestamp
        or set(proof.timestamp.name.lower().split("|")) <= _signed_headers(scheme)
    )
