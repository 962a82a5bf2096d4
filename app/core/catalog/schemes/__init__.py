"""Schemes that need code: what a table cannot say of how a provider signs. Each is a `Prepare`."""

from app.core.catalog.proof import Prepare
from app.core.catalog.schemes.adyen import adyen_standard
from app.core.catalog.schemes.apple import apple_jws
from app.core.catalog.schemes.aws_sns import sns
from app.core.catalog.schemes.body_tokens import body_token
from app.core.catalog.schemes.box import box
from app.core.catalog.schemes.braintree import braintree
from app.core.catalog.schemes.contentful import contentful
from app.core.catalog.schemes.ebay import ebay
from app.core.catalog.schemes.ed25519_schemes import discord, fal, standardwebhooks_v1a
from app.core.catalog.schemes.jira_connect import jira_connect
from app.core.catalog.schemes.mailgun import mailgun
from app.core.catalog.schemes.microsoft_graph import graph_client_state
from app.core.catalog.schemes.oidc import google_chat, google_oidc
from app.core.catalog.schemes.paypal import paypal
from app.core.catalog.schemes.plaid import plaid
from app.core.catalog.schemes.recurly import recurly
from app.core.catalog.schemes.segment import segment_batch
from app.core.catalog.schemes.static_keys import kick, sendgrid, wise
from app.core.catalog.schemes.tokens import fusionauth, monday, netlify, vonage, wix
from app.core.catalog.schemes.url_and_form import mandrill, twilio

SCHEMES: dict[str, Prepare] = {
    "adyen_standard": adyen_standard,
    "apple_jws": apple_jws,
    "body_token": body_token,
    "box": box,
    "braintree": braintree,
    "contentful": contentful,
    "discord": discord,
    "ebay": ebay,
    "fal": fal,
    "fusionauth": fusionauth,
    "google_chat": google_chat,
    "google_oidc": google_oidc,
    "graph_client_state": graph_client_state,
    "jira_connect": jira_connect,
    "kick": kick,
    "mailgun": mailgun,
    "mandrill": mandrill,
    "monday": monday,
    "netlify": netlify,
    "paypal": paypal,
    "plaid": plaid,
    "recurly": recurly,
    "segment_batch": segment_batch,
    "sendgrid": sendgrid,
    "sns": sns,
    "standardwebhooks_v1a": standardwebhooks_v1a,
    "twilio": twilio,
    "vonage": vonage,
    "wise": wise,
    "wix": wix,
    "zulip": body_token,
}
"""By the names that a provider's row and the vectors use."""
