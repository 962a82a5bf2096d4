"""Which sources take a captured delivery again under another id, held against what their schemes really let pass."""

import json
from typing import Any

import pytest

from app.core.catalog.catalogue import providers
from app.core.catalog.identification import identify
from app.core.catalog.proof import Freshness, Genuine
from app.core.catalog.provider import Coded, Scheme
from app.core.catalog.replays import takes_new_ids
from app.core.catalog.sources import delivery_of, scheme_of
from app.core.domain.source import DIGEST, ListedScheme, OwnScheme, Place, Source
from app.core.use_cases.verify_request import shown, verify_request
from tests.unit.catalog.samples import NOW, SAMPLES, signed, verdict
from tests.unit.catalog.vectors import request_of
from tests.unit.catalog.walking import ALL, row_of

TEN_YEARS = 10 * 365 * 86_400.0

TAKE_NEW_IDS = {
    *("bitbucket", "bitbucket_server", "confluence", "gitea", "github", "gogs", "jira", "razorpay", "sanity", "sentry"),
    *("shopify", "twilio", "wise", "woocommerce"),
    # A secret that comes along signs nothing at all.
    *("azure_eventgrid_cloudevents", "buildkite/buildkite_token", "cloudevents/bearer", "cloudevents/access_token"),
    *("gitlab/gitlab_token", "google_drive_push"),
}


def listed(provider: str, scheme: str | None = None, **more: Any) -> Source:
    return Source(name="a-source", provider=provider, verify=ListedScheme(scheme), **more)


UNSIGNED = Place("header", "x-delivery-id")
TIME = {"header": "X-Time", "unit": "s"}


def own(delivery_key: Place | None = None, **words: Any) -> Source:
    return Source(name="a-source", provider="hmac", verify=OwnScheme.of(**words), delivery_key=delivery_key)


def test_the_providers_that_take_new_ids_are_these_and_no_others() -> None:
    found = set()
    for provider in providers():
        for scheme in provider.schemes:
            if takes_new_ids(listed(provider.name, scheme.name)):
                found.add(provider.name if len(provider.schemes) == 1 else f"{provider.name}/{scheme.name}")
    assert found == TAKE_NEW_IDS


@pytest.mark.parametrize(
    "vector", [vector for vector in ALL if vector["expect"] == "valid"], ids=lambda vector: vector["id"]
)
def test_a_genuine_vector_passes_under_another_id_ten_years_later_only_where_that_is_said(
    vector: dict[str, Any],
) -> None:
    """Each of its headers alone is replaced: where it passes so, and is another delivery then, the source says yes."""
    provider, scheme = row_of(vector)
    tolerance = vector.get("tolerance_s")
    source = listed(provider.name, scheme.name, tolerance_seconds=tolerance)
    key = identify(delivery_of(source), request_of(vector)).key
    for name in vector["headers"]:
        later = {
            **vector,
            "headers": {**vector["headers"], name: "other-id"},
            "now": TEN_YEARS + (vector["now"] or NOW),
        }
        if shown(verify_request(json.dumps(later).encode()))["verdict"] == "valid":
            another = identify(delivery_of(source), request_of(later)).key not in {key, None}
            assert takes_new_ids(source) or not another, name


def row(source: Source) -> Scheme:
    assert source.verify is not None
    return scheme_of(source.provider, source.verify)


CODED = {
    scheme.proof.name: (provider.name, scheme.name)
    for provider in providers()
    for scheme in provider.schemes
    if isinstance(scheme.proof, Coded)
}


@pytest.mark.parametrize("code", sorted(CODED))
def test_a_scheme_with_code_is_said_to_judge_time_where_it_does(code: str) -> None:
    """By an id that nobody signs. Tokens of two providers may lack an end, so theirs is not relied upon."""
    provider, scheme = CODED[code]
    for tolerance in (None, 300.0):
        source = listed(provider, scheme, delivery_key=UNSIGNED, tolerance_seconds=tolerance)
        freshness = Freshness(row(source).freshness.tolerance_seconds if tolerance is None else tolerance)
        outcome = verdict(code, signed(code), now=NOW + TEN_YEARS, freshness=freshness)
        passes = isinstance(outcome, Genuine) or (tolerance is None and code in {"fusionauth", "vonage"})
        assert takes_new_ids(source) is passes, tolerance


@pytest.mark.parametrize("code", sorted(CODED))
def test_a_scheme_with_code_is_said_to_sign_an_id_where_it_does(code: str) -> None:
    """Of the headers that it signs those with an id, when nothing is judged by time."""
    provider, scheme = CODED[code]
    for name in SAMPLES[code].signed_headers:
        changed = signed(code)._replace(headers=[(n, b"other" if n == name else v) for n, v in signed(code).headers])
        assert not isinstance(verdict(code, changed, freshness=Freshness()), Genuine)
        if name.endswith(b"-id"):
            source = listed(provider, scheme, delivery_key=Place("header", name.decode()))
            assert not takes_new_ids(source)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (own(UNSIGNED, header="X-Signature"), True),
        (own(header="X-Signature"), False),
        (own(DIGEST, header="X-Signature"), False),
        (own(Place("body", "id"), header="X-Signature"), False),
        (own(UNSIGNED, header="X-Signature", template="{h:X-Delivery-Id}.{body}"), False),
        (own(UNSIGNED, header="X-Signature", template="{h:X-Other}.{body}"), True),
        (own(UNSIGNED, header="X-Signature", template="{ts}.{body}", timestamp=TIME, tolerance_seconds=300), False),
        (own(UNSIGNED, header="X-Signature", template="{ts}.{body}", timestamp=TIME), True),
        (own(UNSIGNED, header="X-Signature", timestamp=TIME, tolerance_seconds=300), True),
        (own(UNSIGNED, header="X-Signature", template="{h:X-Time}{body}", timestamp=TIME, tolerance_seconds=9), False),
        (own(UNSIGNED, header="X-Signature", timestamp={"body": "at", "unit": "s"}, tolerance_seconds=300), False),
        (own(UNSIGNED, token_header="X-Token"), True),
        (own(UNSIGNED, digest="no digest of this version", header="X-Signature"), False),
        (listed("github"), True),
        (listed("github", delivery_key=DIGEST), False),
        (listed("stripe"), False),
        (listed("stripe", delivery_key=UNSIGNED), False),
        (listed("sanity", tolerance_seconds=60.0), False),
        (listed("klaviyo"), False),
        (Source(name="open", provider="github", verify=None), False),
        (Source(name="salesforce", provider="salesforce", verify=OwnScheme.of(header="X-Signature")), True),
        (Source(name="salesforce", provider="salesforce", verify=None), False),
    ],
    ids=str,
)
def test_a_source_takes_new_ids_where_a_header_tells_and_neither_it_nor_a_time_is_signed(
    source: Source, expected: bool
) -> None:
    """The source `salesforce` is where leads come to, whose id is in a header whatever the source says."""
    assert takes_new_ids(source) is expected
