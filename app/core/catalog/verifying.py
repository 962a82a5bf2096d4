"""From a scheme and what a source brings for it to the function that is asked about each request."""

from app.core.catalog import keyed_digests, shared_secrets
from app.core.catalog.proof import Credentials, Freshness, Verifier
from app.core.catalog.provider import Coded, Mac, Scheme
from app.core.catalog.schemes import SCHEMES


def prepare(scheme: Scheme, credentials: Credentials, freshness: Freshness | None = None) -> Verifier:
    """Make a scheme ready. Freshness is the scheme's own where none is given.

    Raises `ValueError` for credentials that cannot be used, with a text that names what is wrong and never a secret.
    """
    judged = scheme.freshness if freshness is None else freshness
    if isinstance(scheme.proof, Mac):
        return keyed_digests.prepare(scheme.proof, credentials, judged)
    if isinstance(scheme.proof, Coded):
        return SCHEMES[scheme.proof.name](credentials, judged)
    return shared_secrets.prepare(scheme.proof, credentials, judged)
