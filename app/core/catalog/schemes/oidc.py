"""Google proves who calls by a token of its sign-in service. The body is not covered.

Pub/Sub: https://docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions
Chat: https://developers.google.com/workspace/chat/verify-requests-from-chat
"""

from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from app.core.catalog.proof import Credentials, Freshness, KeyWanted, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.jwks import KeySet, key_set
from app.core.catalog.schemes.jws import Jws, key_id, parse, rs256_verifies
from app.core.catalog.schemes.lifetimes import judge_lifetime
from app.core.catalog.schemes.mac import setting
from app.core.catalog.schemes.reading import bearer
from app.core.catalog.schemes.refused import Refused, proved, refusing

CHAT = "chat@system.gserviceaccount.com"
GOOGLE_ISSUERS = ("https://accounts.google.com", "accounts.google.com")
GOOGLE_KEYS = "https://www.googleapis.com/oauth2/v3/certs"
CHAT_KEYS = f"https://www.googleapis.com/service_accounts/v1/jwk/{CHAT}"


class Expected(NamedTuple):
    """What a token must say, and where the keys stand that sign such tokens."""

    issuers: tuple[str, ...]
    audience: str
    email: str | None
    keys: str


def google_oidc(credentials: Credentials, _freshness: Freshness) -> Verifier:
    """RS256 by Google, for the settings `audience` and `email`.

    The audience alone proves nothing: whoever has a project at Google may have a token made for any audience, only
    with another account's address in it.
    """
    expected = Expected(GOOGLE_ISSUERS, setting(credentials, "audience"), setting(credentials, "email"), GOOGLE_KEYS)
    return _bearer(credentials, expected)


def google_chat(credentials: Credentials, _freshness: Freshness) -> Verifier:
    """RS256 for the setting `audience`: the app's URL (then Google signs for Chat) or its project number."""
    audience = setting(credentials, "audience")
    if audience.startswith("https://"):
        return _bearer(credentials, Expected(GOOGLE_ISSUERS, audience, CHAT, GOOGLE_KEYS))
    return _bearer(credentials, Expected((CHAT,), audience, None, CHAT_KEYS))


def compare_claims(token: Jws, expected: Expected) -> None:
    """Compare who made the token, for whom, and whose it is."""
    claims = token.payload
    if claims.get("iss") not in expected.issuers:
        raise Refused("claim_mismatch", f"the token's issuer is not {expected.issuers[0]}")
    if claims.get("aud") != expected.audience:
        raise Refused("claim_mismatch", "the token is meant for another audience")
    of_account = claims.get("email") == expected.email and claims.get("email_verified") is True
    if expected.email is not None and not of_account:
        raise Refused("claim_mismatch", "the token is of another account")
    if "exp" not in claims:
        raise Refused("timestamp_missing", "the token never ends")


def signed_by(token: Jws, keys: KeySet) -> None:
    """Check the token's signature with the key that it names."""
    key = keys.key(key_id(token))
    if not isinstance(key, RSAPublicKey) or not rs256_verifies(token, key):
        raise Refused("signature_mismatch", "the token was not signed by the key that it names")


def _bearer(credentials: Credentials, expected: Expected) -> Verifier:
    keys = key_set(credentials, expected.keys)

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        token = parse(bearer(request), "RS256")
        # Before the keys: a token for somebody else is no reason to fetch anything.
        compare_claims(token, expected)
        if keys is None:
            return KeyWanted(expected.keys)
        signed_by(token, keys)
        judge_lifetime(token.payload, now)
        return proved("oidc-rs256")

    return refusing(verify)
