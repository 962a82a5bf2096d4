"""Jira Connect apps: a token whose claim `qsh` is the hash of method, path and query.

The body is not covered. https://developer.atlassian.com/cloud/jira/platform/understanding-jwt-for-connect-apps
"""

from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import parse_qsl, quote

from app.core.catalog.proof import Credentials, Freshness, SignedRequest, Verdict, Verifier
from app.core.catalog.schemes.address import known_url, split
from app.core.catalog.schemes.jws import hs256_matches, parse
from app.core.catalog.schemes.lifetimes import judge_issued, judge_lifetime
from app.core.catalog.schemes.mac import required, same, secrets_of
from app.core.catalog.schemes.reading import bearer, utf8
from app.core.catalog.schemes.refused import Refused, proved, refusing

MOST_PARAMETERS = 200


def prepare(credentials: Credentials, freshness: Freshness) -> Verifier:
    """HS256 in `Authorization: JWT …` with the installation's shared secret.

    The setting `base_url` is the app's base URL, which the path is counted from; `client_key`, where given, must be the
    issuer.
    """
    secrets = secrets_of(credentials)
    base_url, client_key = credentials.settings.get("base_url", ""), credentials.settings.get("client_key")

    def verify(request: SignedRequest, now: float | None) -> Verdict:
        token = parse(bearer(request, b"jwt"), "HS256")
        number = required(hs256_matches(token, secrets), len(secrets), "the token", "its header and payload")
        if client_key and token.payload.get("iss") != client_key:
            raise Refused("claim_mismatch", "the token's issuer is not the client_key")
        stated = token.payload.get("qsh")
        if not isinstance(stated, str) or not same(utf8(stated, "qsh"), query_hash(request, base_url).encode()):
            raise Refused("signature_mismatch", "qsh of the token is not the hash of method, path and query")
        judge_issued(token.payload, freshness, now)
        judge_lifetime(token.payload, now)
        return proved("jws-hs256", number)

    return refusing(verify)


def query_hash(request: SignedRequest, base_url: str) -> str:
    """Hash method, path below the base URL and the query in order, each as Atlassian writes it."""
    url = split(known_url(request))
    path = "/" + url.path.removeprefix(split(base_url).path.rstrip("/")).strip("/")
    try:
        pairs = parse_qsl(url.query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise Refused("signature_malformed", "the URL's query is too long") from None
    written = "&".join((request.method.upper(), path.replace("&", "%26"), _in_order(pairs)))
    return sha256(utf8(written, "the URL")).hexdigest()


def _in_order(pairs: Iterable[tuple[str, str]]) -> str:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if name != "jwt":
            values.setdefault(quote(name, safe="-_.~"), []).append(quote(value, safe="-_.~"))
    return "&".join(f"{name}={','.join(sorted(each))}" for name, each in sorted(values.items()))
