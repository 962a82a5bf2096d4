"""Rows in words, as the command line, the API and `docs/providers.md` show them."""

from collections.abc import Mapping, Sequence

from app.core.catalog.provider import Answer, Coded, Mac, Place, Provider, Scheme, SharedSecret, Text

NEEDS = {"secret": "secret", "public key": "public key", "fetched key": "nothing"}
"""What a source must bring, by `Scheme.needs`."""

COVERAGE = {
    "full": "the whole body is covered",
    "partial": "only a part of the request is covered",
    "none": "the body is not covered",
}

CODED: Mapping[str, str] = {
    "adyen_standard": "`hmacSignature` of each item: HMAC-SHA256 over eight of its fields",
    "apple_jws": "`signedPayload`: a token (ES256) that brings its certificates",
    "box": "`box-signature-primary`, `box-signature-secondary`: HMAC-SHA256 over body and time",
    "braintree": "`bt_signature`: HMAC-SHA1 over `bt_payload`",
    "contentful": "`x-contentful-signature`: HMAC-SHA256 over method, path, the headers that it lists, and body",
    "discord": "`x-signature-ed25519`: Ed25519 over time and body",
    "ebay": "`x-ebay-signature`: ECDSA over the body",
    "fal": "`x-fal-webhook-signature`: Ed25519 over ids, time and the body's hash",
    "fusionauth": "`x-fusionauth-signature-jwt`: a token (HS256) with the body's hash",
    "google_chat": "`authorization`: a token of Google's (RS256)",
    "google_oidc": "`authorization`: a token of Google's (RS256)",
    "graph_client_state": "`clientState` of each notification is the secret",
    "jira_connect": "`authorization`: a token (HS256) with the hash of method, path and query",
    "kick": "`kick-event-signature`: RSA over id, time and body",
    "mailgun": "`signature` in the body: HMAC-SHA256 over time and token",
    "mandrill": "`x-mandrill-signature`: HMAC-SHA1 over URL and form",
    "monday": "`authorization`: a token (HS256)",
    "netlify": "`x-webhook-signature`: a token (HS256) with the body's hash",
    "paypal": "`paypal-transmission-sig`: RSA over id, time, the webhook's id and the body's CRC-32",
    "plaid": "`plaid-verification`: a token (ES256) with the body's hash",
    "recurly": "`recurly-signature`: HMAC-SHA256 over time and body",
    "segment_batch": "`x-signature`: HMAC-SHA1 over the first event",
    "sendgrid": "`x-twilio-email-event-webhook-signature`: ECDSA over time and body",
    "sns": "`Signature` of the message: RSA over its fields",
    "standardwebhooks_v1a": "`webhook-signature`: Ed25519 over id, time and body",
    "twilio": "`x-twilio-signature`: HMAC-SHA1 over URL and form",
    "vonage": "`authorization`: a token (HS256), with the body's hash where it has one",
    "wechat": "`signature` in the query: SHA-1 over token, time and nonce",
    "wise": "`x-signature-sha256`: RSA over the body",
    "wix": "the body is a token (RS256)",
}
"""How schemes with code prove a request."""


def proof_of(scheme: Scheme) -> str:
    """Say in a line how a scheme proves a request; names of the request stand in code marks."""
    proof = scheme.proof
    if isinstance(proof, Coded):
        return CODED[proof.name]
    return _shown(proof) if isinstance(proof, SharedSecret) else _signed(proof)


def freshness_of(scheme: Scheme) -> str:
    """Say how old a request may be; empty where nobody can tell."""
    seconds, past_only = scheme.freshness
    if seconds is None:
        return ""
    return f"{seconds:g} s, the future not judged" if past_only else f"{seconds:g} s"


def needs_of(scheme: Scheme) -> str:
    """Say what a source must bring."""
    settings = ", ".join(scheme.settings)
    if scheme.needs == "fetched key":
        return settings or NEEDS[scheme.needs]
    return f"{NEEDS[scheme.needs]}, {settings}" if settings else NEEDS[scheme.needs]


def ways_of(ways: Sequence[Text]) -> list[str]:
    """Write places as a row does: `body:id`, `{header:x-event}.{body:action}`."""
    return [_place(way[0]) if _alone(way) else "".join(_part(part) for part in way) for way in ways]


def good_of(provider: Provider) -> str:
    """Say what the sender wants to hear of what was taken."""
    return "any 2xx" if provider.good is None else _answer(provider.good)


def bad_of(provider: Provider) -> str:
    """Say what it is told of what is not genuine."""
    return _answer(provider.bad)


def _signed(mac: Mac) -> str:
    headers = " or ".join(f"`{name}{'N' if mac.numbered else ''}`" for name in mac.headers)
    digest = f"HMAC-{mac.digest.upper()}" if mac.keyed else f"plain {mac.digest.upper()} (weak)"
    over = "the body" if mac.template == "{body}" else f"`{mac.template}`"
    return f"{headers}: {digest} over {over}"


def _shown(shared: SharedSecret) -> str:
    names = " or ".join(f"`{name}`" for name in shared.names)
    return {
        "header": f"{names} is the secret",
        "bearer": f"{names}: Bearer and the secret",
        "basic": f"{names}: Basic and the secret, which is user:password",
        "body": f"{names} of the body is the secret",
        "query": f"{names} in the URL is the secret",
    }[shared.place]


def _alone(way: Text) -> bool:
    return len(way) == 1 and isinstance(way[0], Place)


def _place(part: str | Place) -> str:
    return part if isinstance(part, str) else f"{part.kind}:{part.name}"


def _part(part: str | Place) -> str:
    return part if isinstance(part, str) else f"{{{_place(part)}}}"


def _answer(answer: Answer) -> str:
    if answer.body is None:
        return str(answer.status)
    if not answer.body:
        return f"{answer.status}, empty"
    return f"{answer.status}, `{answer.body}`" if len(answer.body) <= 40 else f"{answer.status}, {answer.content_type}"
