"""Every provider's sample, signed: it is what its row says, our own verifier takes it, and no forged or old one."""

import re
from dataclasses import replace
from functools import cache
from random import Random

import pytest

from app.core.catalog.catalogue import providers
from app.core.catalog.draft import Draft
from app.core.catalog.handshakes import answer
from app.core.catalog.proof import Credentials, Genuine, NotGenuine, SignedRequest
from app.core.catalog.provider import Mac, Place, Provider, Scheme
from app.core.catalog.sample import Sample, sample_of
from app.core.catalog.source_text import UNLISTED
from app.core.catalog.verifying import prepare
from app.core.domain.errors import Invalid
from app.core.use_cases.make_sample import MadeSample, SampleOrder, both_sides, make_sample
from tests.unit.catalog.test_declarative_schemes import TEXTS

NOW = 1_800_000_000.0
URL = "https://hooks.example.com/in"
EACH = [(provider, scheme) for provider in providers() for scheme in provider.schemes]
NAMES = [f"{provider.name}-{scheme.name}" for provider, scheme in EACH]
each_scheme = pytest.mark.parametrize(("provider", "scheme"), EACH, ids=NAMES)

# Where the type is the name of a field, or a word that is not in the request, there is no place for another.
TYPE_IS_NO_TEXT = {"instagram", "messenger", "telegram", "x"}
# Amazon signs other fields for each of its types.
TYPE_IS_SIGNED_FOR = {"aws_sns"}
# The rows name these for other kinds of what they send: of messages, and of the newer webhooks.
WITHOUT_ID = {"meta-meta"}
WITHOUT_TYPE = {"mollie-mollie_classic"}


def secret_for(scheme: Scheme) -> bytes:
    if isinstance(scheme.proof, Mac):
        return TEXTS.get(scheme.proof.decoding, b"a secret of plain text")
    return b"00ff10" if scheme.name == "adyen_standard" else b"user:a secret of plain text"


def order(provider: Provider, scheme: Scheme) -> SampleOrder:
    return SampleOrder(provider, scheme, *sides(provider.name, scheme.name), URL, URL)


@cache
def sides(provider: str, name: str) -> tuple[Credentials, Credentials]:
    """What signs, and what verifies; keys are made once for all tests."""
    (scheme,) = (scheme for row, scheme in EACH if (row.name, scheme.name) == (provider, name))
    settings = {"public_key": "example"} if provider == "braintree" else {}
    return both_sides(scheme, [secret_for(scheme)], None, settings)


def verdict(made: MadeSample, about: SampleOrder, now: float | None = NOW) -> object:
    return prepare(about.scheme, about.checking)(made.request, now)


@each_scheme
def test_a_sample_is_taken_and_says_who_it_is(provider: Provider, scheme: Scheme) -> None:
    """Under every scheme, with an id and a type wherever the row promises them, and never as a mere challenge."""
    about = order(provider, scheme)
    made = make_sample(about, NOW, Random(1))
    assert isinstance(verdict(made, about), Genuine), verdict(made, about)
    assert made.identity.unreadable is None
    name = f"{provider.name}-{scheme.name}"
    assert (made.identity.delivery_id is not None) == (bool(provider.delivery.id) and name not in WITHOUT_ID)
    assert (made.identity.event_type is not None) == (bool(provider.delivery.type) and name not in WITHOUT_TYPE)
    challenge = answer(provider.name, made.request, about.checking, NOW)
    assert challenge is None or challenge.after_event


@each_scheme
def test_no_two_samples_are_the_same_delivery(provider: Provider, scheme: Scheme) -> None:
    about, random = order(provider, scheme), Random(1)
    made = [make_sample(about, NOW, random) for _ in range(3)]
    keys = {each.identity.key or each.request.body for each in made}
    assert len(keys) == 3 or provider.name in UNLISTED


@each_scheme
def test_a_sample_that_was_tampered_with_is_refused(provider: Provider, scheme: Scheme) -> None:
    about = order(provider, scheme)
    for seed in range(5):
        made = make_sample(replace(about, tamper=True), NOW, Random(seed))
        assert isinstance(verdict(made, about), NotGenuine)


@pytest.mark.parametrize(
    ("provider", "scheme"),
    [(provider, scheme) for provider, scheme in EACH if scheme.freshness.tolerance_seconds is not None],
    ids=[name for name, (_, scheme) in zip(NAMES, EACH, strict=True) if scheme.freshness.tolerance_seconds is not None],
)
def test_a_sample_beyond_its_tolerance_is_genuine_but_too_old(provider: Provider, scheme: Scheme) -> None:
    about = order(provider, scheme)
    tolerance = scheme.freshness.tolerance_seconds or 0
    made = make_sample(replace(about, age_seconds=tolerance + 2), NOW, Random(1))
    found = verdict(made, about)
    assert isinstance(found, NotGenuine)
    assert found.code == "timestamp_too_old"
    assert isinstance(verdict(made, about, None), Genuine)


@each_scheme
def test_the_type_is_what_was_asked_for(provider: Provider, scheme: Scheme) -> None:
    """Or it is said why it cannot be; what was signed is taken all the same."""
    about = order(provider, scheme)
    own = make_sample(about, NOW, Random(1)).identity.event_type
    wanted = "example.happened" if own is None else re.sub("[A-Za-z0-9]+$", "happened", own.decode())
    if not provider.delivery.type or provider.name in TYPE_IS_NO_TEXT | TYPE_IS_SIGNED_FOR:
        with pytest.raises(Invalid):
            make_sample(replace(about, event_type=wanted), NOW, Random(1))
        return
    made = make_sample(replace(about, event_type=wanted), NOW, Random(1))
    assert made.identity.event_type == wanted.encode() != own
    assert isinstance(verdict(made, about), Genuine)


@each_scheme
def test_a_sample_holds_no_mark_that_was_not_filled_in(provider: Provider, scheme: Scheme) -> None:
    filled = sample_of(provider.name, scheme.name).filled(NOW, Random(1))
    text = b"".join([filled.body, *(value for _, value in filled.headers)])
    assert b"{{" not in text
    domains = re.findall(rb"@[\w-]+(?:\.[\w-]+)*\.(?:com|org|net)\b", text)
    assert {domain.rpartition(b"@")[2] for domain in domains} <= {b"example.com"}


def test_marks_are_filled_in_and_those_with_a_letter_alike() -> None:
    sample = Sample(
        [(b"x-id", b"{{uuid a}}")],
        b"{{uuid a}} {{hex 4}} {{hex 4}} {{digits 3}} {{text 5}} {{unix}} {{millis}} {{time}}",
    )
    headers, body = sample.filled(NOW, Random(1))
    words = body.decode().split()
    assert words[0].encode() == headers[0][1]
    assert words[1] != words[2]
    patterns = [
        "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "[0-9a-f]{4}",
        "[0-9a-f]{4}",
        "[1-9][0-9]{2}",
        "[0-9A-Za-z]{5}",
    ]
    assert all(re.fullmatch(pattern, word) for pattern, word in zip(patterns, words, strict=False))
    assert words[5:] == ["1800000000", "1800000000000", "2027-01-15T08:00:00Z"]
    assert (
        Sample([], b"{{nonsense}} {{hex 0}} {{uuid ab}}").filled(NOW, Random(1)).body
        == b"{{nonsense}} {{hex 0}} {{uuid ab}}"
    )


def test_githubs_types_with_an_action_and_without() -> None:
    """A push has no action, so its body must not keep the one of the sample."""
    provider = next(provider for provider in providers() if provider.name == "github")
    about = order(provider, provider.schemes[0])
    pushed = make_sample(replace(about, event_type="push"), NOW, Random(1))
    assert b'"action"' not in pushed.request.body
    assert dict(pushed.request.headers)[b"x-github-event"] == b"push"
    opened = make_sample(replace(about, event_type="pull_request.opened", body=b'{"number":1}'), NOW, Random(1))
    assert opened.request.body == b'{"number":1,"action":"opened"}'


def test_a_type_that_stands_at_two_places_is_changed_at_both() -> None:
    provider = next(provider for provider in providers() if provider.name == "lemonsqueezy")
    made = make_sample(replace(order(provider, provider.schemes[0]), event_type="order_refunded"), NOW, Random(1))
    assert b'"event_name":"order_refunded"' in made.request.body
    assert dict(made.request.headers)[b"x-event-name"] == b"order_refunded"


def test_a_given_body_is_sent_byte_for_byte_but_for_its_marks() -> None:
    provider = next(provider for provider in providers() if provider.name == "stripe")
    about = replace(
        order(provider, provider.schemes[0]),
        body=b'{ "id" : "evt_{{digits 1}}",\r\n "type":"x" }\xff',
        content_type="x/y",
    )
    made = make_sample(about, NOW, Random(1))
    assert re.fullmatch(rb'\{ "id" : "evt_[1-9]",\r\n "type":"x" \}\xff', made.request.body)
    assert dict(made.request.headers)[b"content-type"] == b"x/y"


@pytest.mark.parametrize(
    ("url", "public_url", "sent_to"),
    [
        (URL, URL, f"{URL}?token=s%26"),
        ("http://127.0.0.1:8000/in", URL, "http://127.0.0.1:8000/in?token=s%26"),
        ("http://127.0.0.1:8000/in?a=1#part", f"{URL}?b=2", "http://127.0.0.1:8000/in?a=1&token=s%26"),
    ],
)
def test_what_a_signature_adds_to_the_address_is_sent_with_it(url: str, public_url: str, sent_to: str) -> None:
    provider = next(provider for provider in providers() if provider.name == "brevo")
    signing, checking = both_sides(provider.schemes[0], [b"s&"], None, {})
    made = make_sample(SampleOrder(provider, provider.schemes[0], signing, checking, url, public_url), NOW, Random(1))
    assert made.request.url == sent_to


def test_what_cannot_be_changed_is_left_and_said() -> None:
    """Paths that are more than names and numbers, elements that are not there, bodies that are no JSON."""
    for body, content, path in [
        (b'{"a":[1]}', "", "a[?b]"),
        (b'{"a":[1]}', "", "a[1]"),
        (b'{"a":[1]}', "", "a.b"),
        (b"<a><b>1</b></a>", "xml", "c"),
        (b"nothing", "", "a"),
        (b"", "", "a"),
    ]:
        assert not Draft(SignedRequest("POST", URL, [], body), content).takes(Place("body", path))


def test_an_element_of_xml_is_changed_bare_or_quoted() -> None:
    draft = Draft(SignedRequest("POST", URL, [], b"<x><n:a k='1'>old</n:a><b><![CDATA[old]]></b></x>"), "xml")
    for name in ("a", "b"):
        assert draft.at(Place("body", name)) == "old"
        draft.put(Place("body", name), "new")
    assert draft.request().body == b"<x><n:a k='1'>new</n:a><b><![CDATA[new]]></b></x>"
