"""The table of providers: it loads, every word of it is known, and nothing in it is a dead end."""

import re
from typing import Any

import jmespath
import pytest

from app.core.catalog.catalogue import find, providers
from app.core.catalog.handshakes import HANDSHAKES
from app.core.catalog.provider import Coded, Mac, Place, Provider
from app.core.catalog.rows import Malformed, read_provider, read_scheme
from app.core.catalog.schemes import SCHEMES

CATALOGUE = list(providers())
STRIPE: dict[str, Any] = {
    "title": "Stripe",
    "page": "https://docs.stripe.com/webhooks",
    "setup": "Paste the secret.",
    "schemes": {"stripe": {"header": "Stripe-Signature"}},
}


@pytest.mark.parametrize("provider", CATALOGUE, ids=lambda provider: provider.name)
def test_a_provider_says_what_people_need(provider: Provider) -> None:
    assert re.fullmatch(r"[a-z0-9]+(?:_[a-z0-9]+)*", provider.name)
    assert re.fullmatch(r"https://[^\s/]+\.[^\s]+", provider.page)
    assert provider.setup.endswith(".")
    assert 20 < len(provider.setup) < 240
    assert provider.schemes
    for scheme in provider.schemes:
        assert set(scheme.settings) <= set(provider.settings)
    places = [
        part
        for ways in (provider.delivery.id, provider.delivery.type, provider.delivery.distinct_by)
        for way in ways
        for part in way
        if isinstance(part, Place) and part.kind == "body"
    ]
    for path in [place.name for place in places] + [provider.delivery.items or "@"]:
        jmespath.compile(path)


@pytest.mark.parametrize("provider", CATALOGUE, ids=lambda provider: provider.name)
def test_an_answer_that_has_no_content_says_so(provider: Provider) -> None:
    """With a body behind a 204, a sender loses its place on the connection."""
    for answer in (provider.good, provider.bad):
        assert answer is None or answer.status != 204 or answer.body == ""


@pytest.mark.parametrize("provider", CATALOGUE, ids=lambda provider: provider.name)
def test_every_code_that_a_row_names_is_there(provider: Provider) -> None:
    named = {scheme.proof.name for scheme in provider.schemes if isinstance(scheme.proof, Coded)}
    assert named <= set(SCHEMES)


def test_whoever_is_answered_a_challenge_is_in_the_catalogue() -> None:
    assert set(HANDSHAKES) <= {provider.name for provider in CATALOGUE}


def test_a_name_may_be_written_with_hyphens_and_an_alias_is_the_provider_itself() -> None:
    assert find("aws-sns") is find("aws_sns") is not None
    assert find("standard-webhooks") is find("standardwebhooks")
    assert find("bitbucket_dc") is find("bitbucket-server")
    assert len({provider.name for provider in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize("name", ["", "..", "../stripe", "Stripe", "stripe.toml", "a" * 5000, "é", "\0"])
def test_what_is_no_name_finds_nothing(name: str) -> None:
    assert find(name) is None


def test_the_first_scheme_is_the_default_and_a_weaker_one_must_be_asked_for() -> None:
    hubspot = find("hubspot")
    assert hubspot is not None
    assert hubspot.scheme() == hubspot.scheme("hubspot_v3") == hubspot.scheme("hubspot-v3")
    assert hubspot.scheme("hubspot_v1") != hubspot.scheme()
    assert hubspot.scheme("md5") is None


def test_who_signs_alike_takes_over_everything_but_what_it_says_itself() -> None:
    polar, standard = find("polar"), find("standardwebhooks")
    assert polar is not None
    assert standard is not None
    ours, theirs = polar.schemes[0].proof, standard.schemes[0].proof
    assert isinstance(ours, Mac)
    assert isinstance(theirs, Mac)
    assert (ours.decoding, theirs.decoding) == ("whsec or text", "whsec")
    assert (ours.template, ours.list, ours.timestamp) == (theirs.template, theirs.list, theirs.timestamp)
    assert polar.schemes[0].freshness == standard.schemes[0].freshness


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"colour": "blue"}, "stripe has no key colour"),
        ({"title": 7}, "stripe.title must be of type str"),
        ({"answer_seconds": -1}, "stripe.answer_seconds must be a number of seconds"),
        ({"answer_seconds": True}, "stripe.answer_seconds must be a number of seconds"),
        ({"methods": [1]}, "stripe.methods must be a text, or a list of texts"),
        ({"settings": {"a": 1}}, "stripe.settings must say in a text what each is"),
        ({"good": {}}, "stripe.good lacks status"),
        ({"delivery": {"id": "id"}}, "stripe.delivery.id: 'id' must be header:NAME, body:PATH or claim:HEADER:NAME"),
        ({"delivery": {"content": "yaml"}}, "stripe.delivery.content must be form:FIELD"),
        ({"schemes": {"stripe": "strong"}}, "stripe.schemes.stripe must be a table"),
    ],
)
def test_what_a_row_says_wrong_is_named(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(Malformed, match=re.escape(fault)):
        read_provider("stripe", {**STRIPE, **change}, lambda _name: {})


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({}, "verify lacks header"),
        ({"header": "A", "digest": "md5"}, "verify.digest must be one of sha1, sha256, sha512"),
        ({"header": "A", "template": "{body}{nonsense}"}, "has a field that is not known"),
        ({"header": "A", "template": "{ts}"}, "leaves the body out"),
        ({"header": "A", "template": "{ts}.{body}"}, "signs a timestamp and does not say where it stands"),
        ({"header": "A", "template": "{secret}{body}"}, "the secret is either the key or a part of the template"),
        ({"header": "A", "keyed": False}, "the secret is either the key or a part of the template"),
        ({"header": "A", "timestamp": {"unit": "s"}}, "verify.timestamp lacks header"),
        ({"header": "A", "timestamp": {"header": "B", "unit": "days"}}, "verify.timestamp.unit must be one of"),
        ({"header": "A", "list": {"separator": ","}}, "verify.list lacks key"),
        ({"header": "A", "tolerance_seconds": "5"}, "verify.tolerance_seconds must be a number of seconds"),
        ({"token_header": "A", "header": "B"}, "verify has no key header"),
    ],
)
def test_what_a_scheme_says_wrong_is_named(table: dict[str, Any], fault: str) -> None:
    with pytest.raises(Malformed, match=re.escape(fault)):
        read_scheme("verify", table, lambda _name: {})
