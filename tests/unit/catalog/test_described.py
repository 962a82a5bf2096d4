"""What is said of the rows in words is true of them, and what is to be pasted can be."""

from io import StringIO
from random import Random

import pytest
from ruamel.yaml import YAML

from app.core.catalog.catalogue import find, providers
from app.core.catalog.described import (
    CODED,
    bad_of,
    freshness_of,
    good_of,
    needs_of,
    proof_of,
    ways_of,
)
from app.core.catalog.proof import Genuine
from app.core.catalog.provider import Provider, Scheme
from app.core.catalog.rows import Malformed, read_provider
from app.core.catalog.schemes import SCHEMES
from app.core.catalog.source_text import source_text
from app.core.catalog.sources import signs_url
from app.core.catalog.verifying import prepare
from app.core.domain.source import NAME
from app.core.use_cases.make_sample import make_sample
from tests.unit.catalog.test_samples import NOW, URL, each_scheme, order


def row(name: str) -> Provider:
    provider = find(name)
    assert provider is not None
    return provider


def test_every_scheme_with_code_is_told_of_in_words() -> None:
    assert set(CODED) == set(SCHEMES)


@each_scheme
def test_a_scheme_signs_the_url_just_where_that_is_said(provider: Provider, scheme: Scheme) -> None:
    """Under another host's address the same request is refused, or taken."""
    about = order(provider, scheme)
    made = make_sample(about, NOW, Random(1)).request
    elsewhere = made._replace(url=made.url.replace("https://hooks.", "https://other."))
    taken = isinstance(prepare(scheme, about.checking)(elsewhere, NOW), Genuine)
    assert taken is not signs_url(scheme)


@pytest.mark.parametrize("provider", providers(), ids=lambda provider: provider.name)
def test_places_are_written_as_the_row_reads_them(provider: Provider) -> None:
    table = {
        "title": "t",
        "page": "p",
        "setup": "s",
        "delivery": {"id": ways_of(provider.delivery.id), "type": ways_of(provider.delivery.type)},
    }

    def like(name: str) -> dict[str, str]:
        raise Malformed(name)

    read = read_provider("x", table, like)
    assert (read.delivery.id, read.delivery.type) == (provider.delivery.id, provider.delivery.type)


@each_scheme
def test_a_source_to_paste_is_yaml_with_what_the_scheme_needs(provider: Provider, scheme: Scheme) -> None:
    document = YAML(typ="safe").load(StringIO(source_text(provider, scheme, URL)))
    (source,) = document["sources"]
    assert NAME.fullmatch(source["name"])
    assert find(source["provider"]) is provider
    assert source.get("scheme", provider.schemes[0].name) == scheme.name
    assert set(scheme.settings) == set(source.get("settings", {}))
    assert ("secrets" in source) is (scheme.needs != "fetched key")
    assert source.get("public_url") == (URL if signs_url(scheme) else None)


def test_given_secrets_and_settings_stand_in_the_source() -> None:
    paypal = row("paypal")
    pem = '-----BEGIN\n"x"\n'
    text = source_text(paypal, paypal.schemes[0], URL, secrets=["file:/a b"], settings={"cert_pem": pem})
    (source,) = YAML(typ="safe").load(StringIO(text))["sources"]
    assert source == {"name": "paypal", "provider": "paypal", "secrets": ["file:/a b"], "settings": {"cert_pem": pem}}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("github", ("`x-hub-signature-256`: HMAC-SHA256 over the body", "", "secret", "any 2xx", "401")),
        (
            "stripe",
            (
                "`stripe-signature`: HMAC-SHA256 over `{ts}.{body}`",
                "300 s, the future not judged",
                "secret",
                "any 2xx",
                "401",
            ),
        ),
        (
            "recharge",
            ("`x-recharge-hmac-sha256`: plain SHA256 (weak) over `{secret}{body}`", "", "secret", "any 2xx", "401"),
        ),
        ("docusign", ("`x-docusign-signature-N`: HMAC-SHA256 over the body", "", "secret", "200", "401")),
        ("telegram", ("`x-telegram-bot-api-secret-token` is the secret", "", "secret", "any 2xx", "401")),
        ("discord", ("`x-signature-ed25519`: Ed25519 over time and body", "", "public key", "204, empty", "401")),
        ("google_pubsub", ("`authorization`: a token of Google's (RS256)", "", "audience, email", "any 2xx", "401")),
        ("aws_sns", ("`Signature` of the message: RSA over its fields", "", "nothing", "any 2xx", "401")),
        ("ebay", ("`x-ebay-signature`: ECDSA over the body", "", "nothing", "200", "412")),
        (
            "wechat",
            ("`signature` in the query: SHA-1 over token, time and nonce", "", "secret", "200, `success`", "401"),
        ),
        ("twilio", ("`x-twilio-signature`: HMAC-SHA1 over URL and form", "", "secret", "200, text/xml", "401")),
    ],
)
def test_a_row_in_words(name: str, told: tuple[str, ...]) -> None:
    provider = row(name)
    scheme = provider.schemes[0]
    assert (proof_of(scheme), freshness_of(scheme), needs_of(scheme), good_of(provider), bad_of(provider)) == told
