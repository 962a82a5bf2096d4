"""Every row that a table describes: what is genuine passes, one changed bit is refused, and nothing raises."""

import hmac
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.catalog.catalogue import find, providers
from app.core.catalog.keyed_digests import keys_of
from app.core.catalog.proof import Credentials, Freshness, Genuine, NotGenuine, SignedRequest, Verdict
from app.core.catalog.provider import Coded, Mac, Scheme, SharedSecret
from app.core.catalog.signing import sign
from app.core.catalog.template import compile_template
from app.core.catalog.verifying import prepare
from tests.unit.catalog.fuzzed import fuzzed

NOW = 1_700_000_000.0
URL = "https://hooks.example.com/in?a=b"

ROWS = {f"{provider.name}-{scheme.name}": scheme for provider in providers() for scheme in provider.schemes}
MACS = {name: scheme for name, scheme in ROWS.items() if isinstance(scheme.proof, Mac)}
SHARED = {name: scheme for name, scheme in ROWS.items() if isinstance(scheme.proof, SharedSecret)}
TEXTS = {"hex": b"00ff10ab", "base64": b"MDEyMzQ1Njc4OWFiY2RlZg==", "whsec": b"whsec_MDEyMzQ1Njc4OWFiY2RlZg=="}

bodies = st.one_of(st.binary(min_size=1, max_size=200), st.just(b'{"id":"1"}'))


def mac_of(scheme: Scheme) -> Mac:
    assert isinstance(scheme.proof, Mac)
    return scheme.proof


def times_in_list(scheme: Scheme) -> bool:
    timestamp = mac_of(scheme).timestamp
    return timestamp is not None and timestamp.place == "item"


def shape(scheme: Scheme) -> Hashable:
    """What decides how a row is verified: all that it says but names of headers and fields, and prefixes."""
    proof = scheme.proof
    if isinstance(proof, Mac):
        timestamp = proof.timestamp and replace(proof.timestamp, name="")
        prefixes = ("",) * len(proof.prefixes)
        return replace(proof, headers=(), prefixes=prefixes, timestamp=timestamp), scheme.freshness
    assert isinstance(proof, SharedSecret)
    return replace(proof, names=("",) * len(proof.names))


def by_shape(names: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Gather the rows of each shape, under the name of its first: they share the examples of one property."""
    shapes: dict[Hashable, list[str]] = {}
    for name in names:
        shapes.setdefault(shape(ROWS[name]), []).append(name)
    return {rows[0]: rows for rows in shapes.values()}


def each_shape(names: Iterable[str]) -> pytest.MarkDecorator:
    shapes = by_shape(names)
    return pytest.mark.parametrize("rows", shapes.values(), ids=shapes)


def secret_for(scheme: Scheme) -> bytes:
    return TEXTS.get(mac_of(scheme).decoding, b"a secret of plain text")


def one_bit(content: bytes, place: int) -> bytes:
    bits = bytearray(content)
    bits[place // 8 % len(content)] ^= 1 << place % 8
    return bytes(bits)


def signed(scheme: Scheme, body: bytes, secret: bytes) -> SignedRequest:
    """Where the time stands in the body, the body is JSON."""
    timestamp = mac_of(scheme).timestamp
    if timestamp is not None and timestamp.place == "body":
        body = b'{"of":"%s"}' % body.hex().encode()
    return sign(scheme, Credentials((secret,)), SignedRequest("POST", URL, [(b"host", b"x")], body), NOW)


def ask(scheme: Scheme, request: SignedRequest, secret: bytes, now: float | None = NOW) -> Verdict:
    return prepare(scheme, Credentials((secret,)))(request, now)


@each_shape(MACS)
@fuzzed(usually=20)
@given(which=st.integers(0, 99), body=bodies, place=st.integers(0, 10**6))
def test_one_changed_bit_of_anything_that_is_signed_is_refused(
    rows: Sequence[str], which: int, body: bytes, place: int
) -> None:
    scheme = MACS[rows[which % len(rows)]]
    secret = secret_for(scheme)
    mac, template = mac_of(scheme), compile_template(mac_of(scheme).template)
    request = signed(scheme, body, secret)
    assert isinstance(ask(scheme, request, secret), Genuine)

    assert isinstance(ask(scheme, request._replace(body=one_bit(request.body, place)), secret), NotGenuine)
    if "{url}" in mac.template or "{uri}" in mac.template:
        url = one_bit(URL.encode(), place).decode("latin-1")
        assert isinstance(ask(scheme, request._replace(url=url), secret), NotGenuine)
    if "{method}" in mac.template:
        method = one_bit(b"POST", place).decode("latin-1")
        assert isinstance(ask(scheme, request._replace(method=method), secret), NotGenuine)
    stamp = [] if mac.timestamp is None or mac.timestamp.place != "header" else [mac.timestamp.name.split("|")[0]]
    for header in [*(names[0] for names in template.headers), *(stamp if template.has_timestamp else [])]:
        headers = [(n, one_bit(v, place) if n == header.lower().encode() else v) for n, v in request.headers]
        assert isinstance(ask(scheme, request._replace(headers=headers), secret), NotGenuine), header


@each_shape(name for name, scheme in MACS.items() if times_in_list(scheme))
@fuzzed(usually=20)
@given(which=st.integers(0, 99), body=bodies, place=st.integers(0, 79))
def test_one_changed_bit_of_the_time_beside_a_signature_is_refused(
    rows: Sequence[str], which: int, body: bytes, place: int
) -> None:
    scheme = MACS[rows[which % len(rows)]]
    secret = secret_for(scheme)
    request = signed(scheme, body, secret)
    header, value = request.headers[-1]
    changed = value.replace(b"1700000000", one_bit(b"1700000000", place), 1)
    assert changed != value
    assert isinstance(ask(scheme, request._replace(headers=[(header, changed)]), secret), NotGenuine)


@each_shape(MACS)
@fuzzed(usually=20)
@given(which=st.integers(0, 99), body=bodies, place=st.integers(0, 10**6))
def test_one_changed_bit_of_the_secret_is_refused(rows: Sequence[str], which: int, body: bytes, place: int) -> None:
    scheme = MACS[rows[which % len(rows)]]
    secret = secret_for(scheme)
    request, other = signed(scheme, body, secret), one_bit(secret, place)
    try:
        changed = keys_of(mac_of(scheme), [other]) != keys_of(mac_of(scheme), [secret])
    except ValueError:
        return  # what is no longer a secret of this kind is refused before any request
    if changed:  # a letter of hexadecimal may change its case and mean the same
        assert isinstance(ask(scheme, request, other), NotGenuine)


@each_shape([*MACS, *SHARED])
@fuzzed(usually=20)
@given(
    which=st.integers(0, 99),
    value=st.binary(max_size=300),
    body=bodies,
    url=st.text(max_size=80),
    method=st.text(max_size=8),
)
def test_whatever_stands_in_a_request_nothing_raises(
    rows: Sequence[str], which: int, value: bytes, body: bytes, url: str, method: str
) -> None:
    scheme = ROWS[rows[which % len(rows)]]
    proof = scheme.proof
    assert not isinstance(proof, Coded)
    names = {*proof.headers} if isinstance(proof, Mac) else {*proof.names}
    if isinstance(proof, Mac):
        names |= {name for each in compile_template(proof.template).headers for name in each}
        names |= {name.lower() for name in (proof.timestamp.name if proof.timestamp else "").split("|")}
    secret = secret_for(scheme) if isinstance(proof, Mac) else b"a long secret that nobody guesses"
    verify = prepare(scheme, Credentials((secret,)))
    headers = [(name.encode() + number, value) for name in names for number in (b"", b"1", b"\xb2")]
    for shown in ([], headers, [(b"content-type", b"application/json"), *headers], headers * 2):
        for now in (None, NOW, 0.0, -1e300):
            assert isinstance(verify(SignedRequest(method, url, shown, body), now), NotGenuine)


SLACK, STRIPE, STANDARD = (ROWS[name] for name in ("slack-slack", "stripe-stripe", "standardwebhooks-standardwebhooks"))


@pytest.mark.parametrize(
    "stamp", [b"", b"abc", b"1700000000.5", b"-1", b"+1", b"1_0", b"\xd9\xa1", b"9" * 16, b"9" * 5000]
)
def test_a_signed_time_that_is_no_number_is_told_from_a_wrong_signature(stamp: bytes) -> None:
    code = b"v0=" + hmac.new(b"s", b"v0:" + stamp + b":x", "sha256").hexdigest().encode()
    headers = [(b"x-slack-request-timestamp", stamp), (b"x-slack-signature", code)]
    verdict = ask(SLACK, SignedRequest("POST", URL, headers, b"x"), b"s")
    assert isinstance(verdict, NotGenuine)
    assert verdict.code == ("timestamp_malformed" if stamp else "timestamp_missing")


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (300, None),
        (301, "timestamp_too_old"),
        (-300, None),
        (-301, "timestamp_in_the_future"),
        (1e12, "timestamp_too_old"),
    ],
)
def test_age_is_judged_on_both_sides_and_exactly_the_tolerance_is_in_time(age: float, code: str | None) -> None:
    verdict = ask(SLACK, signed(SLACK, b"x", b"s"), b"s", NOW + age)
    assert (verdict.code if isinstance(verdict, NotGenuine) else None) == code


def test_what_may_only_be_too_old_is_taken_from_the_future() -> None:
    assert isinstance(ask(STRIPE, signed(STRIPE, b"x", b"s"), b"s", NOW - 10_000), Genuine)


def test_a_tolerance_of_the_source_takes_the_place_of_the_rows() -> None:
    verify = prepare(STRIPE, Credentials((b"s",)), Freshness(5))
    assert isinstance(verify(signed(STRIPE, b"x", b"s"), NOW + 6), NotGenuine)


def test_a_wrong_signature_is_never_called_old() -> None:
    verdict = ask(SLACK, signed(SLACK, b"x", b"s"), b"other", NOW + 9999)
    assert isinstance(verdict, NotGenuine)
    assert verdict.code == "signature_mismatch"


def test_the_operator_is_told_how_far_the_clocks_are_apart() -> None:
    verdict = ask(SLACK, signed(SLACK, b"x", b"s"), b"s", NOW + 400)
    assert isinstance(verdict, NotGenuine)
    assert verdict.detail == "authentic, but signed 400 s ago; 300 s are allowed"


def test_ten_thousand_signatures_are_not_looked_at() -> None:
    """The right one behind them is not found, which shows where looking ends."""
    request = signed(STRIPE, b"x", b"s")
    ((name, value),) = [header for header in request.headers if header[0] == b"stripe-signature"]
    flood = value.replace(b",v1=", b"," + b"v1=00," * 10_000 + b"v1=")
    assert isinstance(ask(STRIPE, request._replace(headers=[(name, flood)]), b"s"), NotGenuine)
    few = value.replace(b",v1=", b"," + b"v1=00," * 10 + b"v9=zz,v1=")
    assert isinstance(ask(STRIPE, request._replace(headers=[(name, few)]), b"s"), Genuine)


def test_any_of_docusigns_numbered_headers_may_fit_any_secret() -> None:
    scheme = ROWS["docusign-docusign"]
    right = signed(scheme, b"x", b"new").headers[-1][1]
    numbered = [(b"x-docusign-signature-1", b"AAAA"), (b"x-docusign-signature-2", right)]
    verify = prepare(scheme, Credentials((b"old", b"new")))
    assert verify(SignedRequest("POST", URL, numbered, b"x"), None) == Genuine("hmac-sha256#2", 2)
    many = [(b"x-docusign-signature-%d" % number, b"AAAA") for number in range(1, 101)]
    beyond = [*many, (b"x-docusign-signature-101", right)]
    assert isinstance(verify(SignedRequest("POST", URL, beyond, b"x"), None), NotGenuine)


def test_a_header_that_is_signed_and_stands_twice_is_refused() -> None:
    request = signed(STANDARD, b"x", secret_for(STANDARD))
    twice = [*request.headers, (b"webhook-id", b"another")]
    verdict = ask(STANDARD, request._replace(headers=twice), secret_for(STANDARD))
    assert isinstance(verdict, NotGenuine)
    assert verdict.code == "header_repeated"


def test_a_url_that_is_signed_and_not_known_says_what_to_configure() -> None:
    scheme = ROWS["square-square"]
    verdict = ask(scheme, signed(scheme, b"x", b"s")._replace(url=""), b"s")
    assert isinstance(verdict, NotGenuine)
    assert (verdict.code, "public_url" in verdict.detail) == ("url_unknown", True)


@pytest.mark.parametrize(
    ("name", "secret", "fault"),
    [
        ("adyen-adyen_platform", b"canary", "secret 1 cannot be used: it is not hexadecimal"),
        ("standardwebhooks-standardwebhooks", b"whsec_%canary", "it is not Base64, with or without whsec_"),
        ("standardwebhooks-standardwebhooks", b"whsec_", "secret 1 cannot be used: it is empty"),
        ("github-github", b"", "secret 1 cannot be used: it is empty"),
        ("telegram-telegram", b"", "it needs a secret, and none may be empty"),
        ("auth0-bearer", b"Bearer ", "it needs a secret, and none may be empty"),
    ],
)
def test_a_secret_that_cannot_be_one_is_told_without_a_word_of_it(name: str, secret: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault) as failed:
        prepare(ROWS[name], Credentials((secret,)))
    assert "canary" not in str(failed.value)
    with pytest.raises(ValueError, match="it needs a secret"):
        prepare(ROWS[name], Credentials())


@pytest.mark.parametrize(
    ("name", "request_of"),
    [
        ("basic-basic_auth", lambda s: SignedRequest("POST", "", [(b"authorization", b"basic dTpw")], b"")),
        ("bearer-bearer", lambda s: SignedRequest("POST", "", [(b"authorization", b"bearer  u:p")], b"")),
        ("lark-lark", lambda s: SignedRequest("POST", "", [], b'{"header":{"token":"u:p"}}')),
        ("strava-secret_url", lambda s: SignedRequest("POST", URL + "&token=u%3Ap", [], b"")),
        ("cloudevents-access_token", lambda s: SignedRequest("POST", URL + "&access_token=u:p", [], b"")),
    ],
)
def test_a_shared_secret_is_found_where_its_sender_puts_it(
    name: str, request_of: Callable[[None], SignedRequest]
) -> None:
    verify = prepare(ROWS[name], Credentials((b"x:y", b"u:p")))
    verdict = verify(request_of(None), None)
    assert isinstance(verdict, Genuine)
    assert verdict.matched_secret == 2


def test_a_url_that_shows_a_wrong_secret_beside_the_right_one_is_refused() -> None:
    request = SignedRequest("POST", f"{URL}&token=s&token=x", [], b"")
    assert isinstance(ask(ROWS["strava-secret_url"], request, b"s"), NotGenuine)


def test_a_weaker_header_is_never_looked_at() -> None:
    github = find("github")
    assert github is not None
    verdict = ask(github.schemes[0], SignedRequest("POST", "", [(b"x-hub-signature", b"sha1=00")], b"x"), b"s")
    assert isinstance(verdict, NotGenuine)
    assert verdict.code == "signature_missing"
