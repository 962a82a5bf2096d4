"""Schemes that need code: what a table cannot say of how a provider signs. Each is a `Prepare`.

A module is loaded when somebody first asks for a scheme of it: most bring cryptography, which takes a tenth of a start,
and most processes need none of them.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import cast

from app.core.catalog.proof import Prepare

_PLACES = {
    "adyen_standard": "adyen",
    "apple_jws": "apple",
    "box": "box",
    "braintree": "braintree",
    "contentful": "contentful",
    "discord": "ed25519_schemes.discord",
    "ebay": "ebay",
    "fal": "ed25519_schemes.fal",
    "fusionauth": "tokens.fusionauth",
    "google_chat": "oidc.google_chat",
    "google_oidc": "oidc.google_oidc",
    "graph_client_state": "microsoft_graph",
    "jira_connect": "jira_connect",
    "kick": "static_keys.kick",
    "mailgun": "mailgun",
    "mandrill": "url_and_form.mandrill",
    "monday": "tokens.monday",
    "netlify": "tokens.netlify",
    "paypal": "paypal",
    "plaid": "plaid",
    "recurly": "recurly",
    "segment_batch": "segment",
    "sendgrid": "static_keys.sendgrid",
    "sns": "aws_sns",
    "standardwebhooks_v1a": "ed25519_schemes.standardwebhooks_v1a",
    "twilio": "url_and_form.twilio",
    "vonage": "tokens.vonage",
    "wechat": "wechat",
    "wise": "static_keys.wise",
    "wix": "tokens.wix",
}
"""Module and function, which is mostly called `prepare`."""


class _Schemes(Mapping[str, Prepare]):
    def __getitem__(self, name: str) -> Prepare:
        module, _, function = _PLACES[name].partition(".")
        return cast("Prepare", getattr(import_module(f"{__name__}.{module}"), function or "prepare"))

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


SCHEMES: Mapping[str, Prepare] = _Schemes()
"""By the names that a provider's row and the vectors use."""
