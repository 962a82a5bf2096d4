"""What holds for every scheme with code: what is signed is believed, what was changed is not, nothing raises."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.catalog.proof import Freshness, Genuine, KeyWanted, NotGenuine, SignedRequest
from app.core.catalog.schemes import SCHEMES
from app.core.catalog.schemes.signing import SIGNERS, generate_key
from tests.unit.catalog.fuzzed import fuzzed
from tests.unit.catalog.samples import NAMES, NOW, SAMPLES, SHARED, both_sides, raw, signed, unsigned, verdict
from tests.unit.catalog.vectors import VECTORS, request_of

WITHOUT_TIME = {
    "adyen_standard",
    "ebay",
    "graph_client_state",
    "mandrill",
    "netlify",
    "segment_batch",
    "twilio",
    "wise",
}
"""The schemes that say nothing of when."""
LIVES_AN_HOUR = {"google_chat", "google_oidc"}
"""Their tokens name their own end."""


def flipped(content: bytes, data: st.DataObject) -> bytes:
    place = data.draw(st.integers(0, len(content) * 8 - 1))
    bits = bytearray(content)
    bits[place // 8] ^= 1 << place % 8
    return bytes(bits)


def test_every_scheme_can_be_signed_and_has_a_sample() -> None:
    assert set(SCHEMES) == set(SIGNERS) == set(SAMPLES)


@pytest.mark.parametrize("scheme", NAMES)
def test_what_is_signed_is_believed(scheme: str) -> None:
    outcome = verdict(scheme, signed(scheme))
    assert isinstance(outcome, Genuine)
    assert outcome.matched_secret == 1


@fuzzed(usually=40)
@given(st.sampled_from([name for name in NAMES if not SAMPLES[name].fixed_body]), st.binary())
def test_any_body_can_be_signed_where_the_scheme_does_not_read_it(scheme: str, body: bytes) -> None:
    assert isinstance(verdict(scheme, signed(scheme, body)), Genuine)


@pytest.mark.parametrize("scheme", NAMES)
@fuzzed(usually=8)
@given(data=st.data())
def test_one_changed_bit_of_what_is_covered_is_refused(scheme: str, data: st.DataObject) -> None:
    """Of what passes all the same, the covered part is what it was: a flag of a letter's case in `%2b`, say."""
    request, sample = signed(scheme), SAMPLES[scheme]
    part = data.draw(st.sampled_from(["body", "url", "method", *sample.signed_headers]))
    match part:
        case "body":
            changed = request._replace(body=flipped(request.body, data))
        case "url":
            changed = request._replace(url=flipped(request.url.encode(), data).decode("latin-1"))
        case "method":
            changed = request._replace(method="PUT")
        case bytes(name):
            header = request.headers
            changed = request._replace(headers=tuple((n, flipped(v, data) if n == name else v) for n, v in header))
    if isinstance(verdict(scheme, changed), Genuine):
        assert part not in sample.signed_headers
        assert sample.covered(changed) == sample.covered(request)


@pytest.mark.parametrize("scheme", [name for name in NAMES if SAMPLES[name].covered is raw])
@fuzzed(usually=4)
@given(data=st.data())
def test_one_changed_bit_of_a_body_that_is_covered_whole_is_refused(scheme: str, data: st.DataObject) -> None:
    request = signed(scheme)
    assert isinstance(verdict(scheme, request._replace(body=flipped(request.body, data))), NotGenuine)


@pytest.mark.parametrize("scheme", SHARED)
@fuzzed(usually=4)
@given(data=st.data())
def test_one_changed_bit_of_the_secret_is_refused(scheme: str, data: st.DataObject) -> None:
    _, credentials = both_sides(scheme)
    others = tuple(flipped(secret, data) for secret in credentials.secrets)
    try:
        outcome = verdict(scheme, signed(scheme), credentials=credentials._replace(secrets=others))
    except ValueError:
        assert scheme == "adyen_standard"  # whose keys are hexadecimal
        return
    assert isinstance(outcome, NotGenuine)


@pytest.mark.parametrize("scheme", sorted(set(NAMES) - set(SHARED)))
def test_the_signature_of_another_key_is_refused(scheme: str) -> None:
    foreign = SIGNERS[scheme](generate_key(scheme).private, unsigned(scheme), NOW)
    outcome = verdict(scheme, foreign)
    assert isinstance(outcome, NotGenuine)
    assert outcome.code in {"signature_mismatch", "certificate_refused"}


@pytest.mark.parametrize("scheme", sorted(set(NAMES) - WITHOUT_TIME - LIVES_AN_HOUR))
def test_what_was_signed_too_long_ago_is_authentic_but_old(scheme: str) -> None:
    # Box takes no time of the future, and fractions of a second may stand in between.
    late, early = NOW + 302, NOW - 302
    assert isinstance(verdict(scheme, signed(scheme), now=NOW + 299), Genuine)
    old = verdict(scheme, signed(scheme), now=late)
    assert isinstance(old, NotGenuine)
    assert old.code == "timestamp_too_old"
    ahead = verdict(scheme, signed(scheme), now=early)
    assert isinstance(ahead, NotGenuine)
    assert ahead.code == "timestamp_in_the_future"
    past_only = Freshness(300.0, past_only=True)
    if scheme != "braintree":
        assert isinstance(verdict(scheme, signed(scheme), now=early, freshness=past_only), Genuine)
    assert isinstance(verdict(scheme, signed(scheme), now=None), Genuine)


@pytest.mark.parametrize("scheme", sorted(LIVES_AN_HOUR))
def test_a_token_that_names_its_end_is_refused_after_it(scheme: str) -> None:
    request = signed(scheme)
    assert isinstance(verdict(scheme, request, now=NOW + 3_600), Genuine)
    over = verdict(scheme, request, now=NOW + 3_601)
    assert isinstance(over, NotGenuine)
    assert over.code == "timestamp_too_old"


@pytest.mark.parametrize("scheme", sorted(set(SHARED) - {"box", "braintree"}))
def test_a_secret_that_is_being_rotated_out_still_counts(scheme: str) -> None:
    _, credentials = both_sides(scheme)
    new = credentials.secrets[0][::-1]
    outcome = verdict(scheme, signed(scheme), credentials=credentials._replace(secrets=(new, *credentials.secrets)))
    assert isinstance(outcome, Genuine)
    assert outcome.matched_secret == 2
    assert outcome.verification.endswith("#2")


@pytest.mark.parametrize("scheme", SHARED)
@pytest.mark.parametrize("secrets", [(), (b"",)])
def test_no_secret_or_an_empty_one_is_no_configuration(scheme: str, secrets: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match=r"secret|key"):
        SCHEMES[scheme](both_sides(scheme)[1]._replace(secrets=secrets), Freshness())


@pytest.mark.parametrize("scheme", NAMES)
def test_a_request_without_a_signature_is_told_so(scheme: str) -> None:
    outcome = verdict(scheme, SignedRequest("POST", "https://hooks.example.com/in", (), b"{}"))
    assert isinstance(outcome, NotGenuine)
    assert outcome.code in {"signature_missing", "signature_malformed"}


HEADERS = sorted({name for scheme in NAMES for name, _ in signed(scheme).headers})
VALUES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [b"", b"a.b.c", b"v1a,", b"v1a,AAAA", b"Bearer a.b.c", b"\xff", b"1" * 5_000, b"e30=", b"\xc2\xb2"]
    ),
    st.from_regex(rb"[A-Za-z0-9_-]{4,40}\.[A-Za-z0-9_-]{4,40}\.[A-Za-z0-9_-]{0,40}", fullmatch=True),
)
WORDS = [
    *("notificationItems", "NotificationRequestItem", "additionalData", "hmacSignature", "amount", "signedPayload"),
    *("Type", "SigningCertURL", "Signature", "SignatureVersion", "Message", "MessageId", "TopicArn", "Timestamp"),
    *("signature", "timestamp", "token", "value", "clientState"),
]
JSON_BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=12,
)
URLS = st.text(max_size=40) | st.sampled_from(["https://[", "http://x:9/?bodySHA256=%ff&bodySHA256", "//", "\udcff"])


@fuzzed(usually=160)
@given(
    st.sampled_from(NAMES),
    st.lists(st.tuples(st.sampled_from(HEADERS), VALUES), max_size=6),
    st.one_of(st.binary(), JSON_BODIES.map(lambda value: json.dumps(value).encode())),
    URLS,
    st.sampled_from([None, NOW, 0.0, 1e300]),
)
def test_whatever_comes_nothing_raises(
    scheme: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, url: str, now: float | None
) -> None:
    outcome = verdict(scheme, SignedRequest("POST", url, headers, body), now=now)
    assert isinstance(outcome, NotGenuine | KeyWanted)
    assert isinstance(outcome, KeyWanted) or outcome.detail.isprintable()


@fuzzed(usually=80)
@given(st.sampled_from(NAMES), st.sampled_from(HEADERS), VALUES)
def test_a_good_request_with_one_header_replaced_raises_nothing(scheme: str, name: bytes, value: bytes) -> None:
    request = signed(scheme)
    changed = request._replace(headers=tuple((n, value if n == name else v) for n, v in request.headers))
    assert isinstance(verdict(scheme, changed), Genuine | NotGenuine | KeyWanted)


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["scheme"] in SCHEMES], ids=lambda vector: vector["id"])
def test_no_signature_of_a_vector_counts_for_other_credentials(vector: dict[str, str]) -> None:
    """A request that one source believes is refused by every other."""
    scheme = vector["scheme"]
    assert not isinstance(verdict(scheme, request_of(vector), now=None), Genuine)
