"""Plaid: a token whose payload holds the hash of the body, signed with a key that it names by its id.

https://plaid.com/docs/api/webhooks/webhook-verification
"""

from hashlib import sha256

from app.core.catalog.proof import Credentials, Freshness, KeyWanted, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.jwks import document_of, usable
from app.core.catalog.schemes.jws import es256_verifies, key_id, parse
from app.core.catalog.schemes.keys import as_p256, first
from app.core.catalog.schemes.lifetimes import judge_issued, judge_lifetime
from app.core.catalog.schemes.mac import required
from app.core.catalog.schemes.reading import header
from app.core.catalog.schemes.refused import Refused, proved, refusing
from app.core.catalog.schemes.tokens import compare_body_hash

SIGNATURE = b"plaid-verification"
_ENVIRONMENTS = ("production", "sandbox", "development")


def prepare(credentials: Credentials, freshness: Freshness) -> Verifier:
    """ES256, and the claim `request_body_sha256`; a JWK among the secrets stands for every id.

    Plaid hands its keys out by `/webhook_verification_key/get`, which wants the client's id and secret.
    """
    environment = credentials.settings.get("environment", "production")
    if environment not in _ENVIRONMENTS:
        raise ValueError(f"the setting environment is none of {', '.join(_ENVIRONMENTS)}")

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        token = parse(header(request, SIGNATURE), "ES256")
        name = key_id(token)
        url = f"https://{environment}.plaid.com/webhook_verification_key/get?key_id={name}"
        known = document_of(credentials, name, url)
        documents = credentials.secrets if known is None else (known,)
        if not documents:
            return KeyWanted(url)
        keys = [usable(document, as_p256) for document in documents]
        number = first(keys, lambda key: es256_verifies(token, key))
        required(number, len(keys), "plaid-verification", "its header and payload")
        compare_body_hash(token, "request_body_sha256", sha256(request.body).hexdigest())
        if "iat" not in token.payload and freshness.tolerance_seconds is not None:
            raise Refused("timestamp_missing", "the token does not say when it was issued")
        judge_issued(token.payload, freshness, now)
        judge_lifetime(token.payload, now)
        return proved("jws-es256", number)

    return refusing(verify)
