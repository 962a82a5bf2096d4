"""Netlify, Vonage, FusionAuth, monday (HS256) and Wix (RS256): a JSON Web Token instead of a signature.

Netlify: https://docs.netlify.com/deploy/deploy-notifications/#payload-signature
Vonage: https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks
FusionAuth: https://fusionauth.io/docs/extend/events-and-webhooks/signing
monday: https://developer.monday.com/apps/docs/integration-authorization
Wix: https://dev.wix.com/docs/build-apps/develop-your-app/api-integrations/events-and-webhooks/handle-events-with-webhooks
"""

import base64
from hashlib import sha256

from app.core.catalog.proof import Credentials, Freshness, Genuine, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.jws import LONGEST_IN_BODY, Jws, hs256_matches, parse, rs256_verifies
from app.core.catalog.schemes.keys import first, rsa
from app.core.catalog.schemes.lifetimes import judge_issued, judge_lifetime
from app.core.catalog.schemes.mac import required, same, secrets_of
from app.core.catalog.schemes.reading import bearer, header, utf8
from app.core.catalog.schemes.refused import Refused, proved, refusing

NETLIFY = b"x-webhook-signature"
FUSIONAUTH = b"x-fusionauth-signature-jwt"


def netlify(credentials: Credentials, freshness: Freshness) -> Verifier:
    """HS256 by the issuer `netlify`, with the body's hash in the claim `sha256`."""
    secrets = secrets_of(credentials)

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        token = parse(header(request, NETLIFY), "HS256")
        verdict = _signed(token, secrets)
        if token.payload.get("iss") != "netlify":
            raise Refused("claim_mismatch", "the token's issuer is not netlify")
        compare_body_hash(token, "sha256", sha256(request.body).hexdigest())
        return _fresh(token, freshness, now, verdict)

    return refusing(verify)


def vonage(credentials: Credentials, freshness: Freshness) -> Verifier:
    """HS256; the claim `payload_hash` is compared where it is sent: callbacks without a body have none."""
    secrets = secrets_of(credentials)

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        token = parse(bearer(request), "HS256")
        verdict = _signed(token, secrets)
        if "payload_hash" in token.payload:
            compare_body_hash(token, "payload_hash", sha256(request.body).hexdigest())
        return _fresh(token, freshness, now, verdict)

    return refusing(verify)


def fusionauth(credentials: Credentials, freshness: Freshness) -> Verifier:
    """HS256, with the body's hash in base64 in the claim `request_body_sha256`."""
    secrets = secrets_of(credentials)

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        token = parse(header(request, FUSIONAUTH), "HS256")
        verdict = _signed(token, secrets)
        compare_body_hash(token, "request_body_sha256", base64.b64encode(sha256(request.body).digest()).decode())
        return _fresh(token, freshness, now, verdict)

    return refusing(verify)


def monday(credentials: Credentials, freshness: Freshness) -> Verifier:
    """HS256 in `Authorization`, with or without `Bearer`; the setting `audience` is compared where it is given.

    The token says who calls, and nothing of the body.
    """
    secrets = secrets_of(credentials)
    audience = credentials.settings.get("audience")

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        value = header(request, b"authorization")
        token = parse(bearer(request) if b" " in value else value, "HS256")
        verdict = _signed(token, secrets)
        if audience and token.payload.get("aud") != audience:
            raise Refused("claim_mismatch", "the token is meant for another audience")
        return _fresh(token, freshness, now, verdict)

    return refusing(verify)


def wix(credentials: Credentials, freshness: Freshness) -> Verifier:
    """RS256: the body itself is the token, the secrets are the app's public keys."""
    keys = [rsa(secret) for secret in secrets_of(credentials)]

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        token = parse(request.body.strip(), "RS256", LONGEST_IN_BODY)
        number = first(keys, lambda key: rs256_verifies(token, key))
        required(number, len(keys), "the token in the body", "its header and payload")
        return _fresh(token, freshness, now, proved("jws-rs256", number))

    return refusing(verify)


def compare_body_hash(token: Jws, claim: str, expected: str) -> None:
    """Compare the hash of the body that a token states."""
    stated = token.payload.get(claim)
    if not isinstance(stated, str) or not same(utf8(stated, claim), expected.encode()):
        raise Refused("signature_mismatch", f"{claim} of the token is not the hash of the body")


def _signed(token: Jws, secrets: tuple[bytes, ...]) -> Genuine:
    number = hs256_matches(token, secrets)
    return proved("jws-hs256", required(number, len(secrets), "the token", "its header and payload"))


def _fresh(token: Jws, freshness: Freshness, now: float | None, verdict: Genuine) -> Genuine:
    judge_issued(token.payload, freshness, now)
    judge_lifetime(token.payload, now)
    return verdict
