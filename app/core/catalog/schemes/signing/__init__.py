"""The schemes the other way round: what a provider would have sent, signed by the very text that the verifier checks.

A body that a scheme cannot sign (no JSON where the signature goes into the JSON, say) is a `ValueError`.
"""

from collections.abc import Callable, Mapping

from app.core.catalog.proof import Credentials, SignedRequest
from app.core.catalog.schemes.signing import generated, public_keys, query, shared_secrets, tokens
from app.core.catalog.schemes.signing.generated import GeneratedKey

Sign = Callable[[Credentials, SignedRequest, float], SignedRequest]
"""(credentials, request without signature, seconds since the epoch) → the request as the provider would send it."""

SIGNERS: Mapping[str, Sign] = {
    "adyen_standard": shared_secrets.adyen_standard,
    "apple_jws": tokens.apple_jws,
    "box": shared_secrets.box_headers,
    "braintree": shared_secrets.braintree_form,
    "contentful": shared_secrets.contentful_headers,
    "discord": public_keys.discord,
    "ebay": public_keys.ebay_header,
    "fal": public_keys.fal,
    "fusionauth": tokens.fusionauth,
    "google_chat": tokens.google_chat,
    "google_oidc": tokens.google_oidc,
    "graph_client_state": shared_secrets.graph_client_state,
    "jira_connect": tokens.jira_connect,
    "kick": public_keys.kick,
    "mailgun": shared_secrets.mailgun_signature,
    "mandrill": shared_secrets.mandrill,
    "monday": tokens.monday,
    "netlify": tokens.netlify,
    "paypal": public_keys.paypal_headers,
    "plaid": tokens.plaid,
    "recurly": shared_secrets.recurly_header,
    "segment_batch": shared_secrets.segment_batch,
    "sendgrid": public_keys.sendgrid,
    "sns": public_keys.sns,
    "standardwebhooks_v1a": public_keys.standardwebhooks_v1a,
    "twilio": shared_secrets.twilio,
    "vonage": tokens.vonage,
    "wechat": query.wechat,
    "wise": public_keys.wise,
    "wix": tokens.wix,
}

GENERATORS: Mapping[str, Callable[[bytes | None], GeneratedKey]] = {
    "apple_jws": generated.apple_key,
    "discord": generated.ed25519_key,
    "ebay": generated.ebay_key,
    "fal": generated.ed25519_key,
    "google_chat": generated.chat_key,
    "google_oidc": generated.google_key,
    "kick": generated.rsa_key,
    "paypal": generated.paypal_key,
    "plaid": generated.plaid_key,
    "sendgrid": generated.p256_key,
    "sns": generated.sns_key,
    "standardwebhooks_v1a": generated.standard_key,
    "wise": generated.rsa_key,
    "wix": generated.rsa_key,
}
"""The schemes whose provider holds a private key, and how to make one in its place."""


def generate_key(scheme: str, pem: bytes | None = None) -> GeneratedKey:
    """Make a key pair for a scheme with public keys, or read one; `KeyError` for a scheme with a shared secret.

    Raises `ValueError` for a text that is no private key of the kind that the scheme needs.
    """
    return GENERATORS[scheme](pem)
