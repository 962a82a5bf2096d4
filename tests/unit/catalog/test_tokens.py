"""JSON Web Tokens: one form, one algorithm, and claims that must be what they should be."""

import base64
import hmac
import json
from hashlib import sha256
from typing import Any

import pytest

from app.core.catalog.proof import Credentials, Genuine, NotGenuine, SignedRequest
from app.core.catalog.schemes.jira_connect import query_hash
from app.core.catalog.schemes.jws import compact, parse
from app.core.catalog.schemes.oidc import CHAT
from app.core.catalog.schemes.refused import Refused
from app.core.catalog.schemes.signing.generated import google_key
from app.core.catalog.schemes.signing.private_keys import es256, rs256
from tests.unit.catalog.samples import NOW, SECRET, both_sides, signed, unsigned, verdict, with_json

HS256 = {"alg": "HS256", "typ": "JWT"}


def hs256(claims: Any, header: Any = HS256, secret: bytes = SECRET) -> bytes:
    return compact(header, claims, lambda text: hmac.digest(secret, text, "sha256"))


def code(request: SignedRequest, scheme: str, credentials: Credentials | None = None, now: float | None = NOW) -> str:
    outcome = verdict(scheme, request, credentials=credentials, now=now)
    return outcome.code if isinstance(outcome, NotGenuine) else "genuine"


def netlify(token: bytes) -> SignedRequest:
    return SignedRequest("POST", "", ((b"x-webhook-signature", token),), b"{}")


BODY = sha256(b"{}").hexdigest()
GOOD = {"iss": "netlify", "sha256": BODY}


@pytest.mark.parametrize(
    ("claims", "header", "expected"),
    [
        (GOOD, HS256, "genuine"),
        (GOOD, {"alg": "HS256"}, "genuine"),
        (GOOD, {"alg": "none"}, "algorithm_refused"),
        (GOOD, {"alg": "hs256"}, "algorithm_refused"),
        (GOOD, {"alg": ["HS256"]}, "algorithm_refused"),
        (GOOD, {"alg": "HS512"}, "algorithm_refused"),
        (GOOD, {}, "algorithm_refused"),
        (GOOD, {**HS256, "crit": ["exp"]}, "algorithm_refused"),
        (GOOD, [], "signature_malformed"),
        ([], HS256, "signature_malformed"),
        ("text", HS256, "signature_malformed"),
        ({**GOOD, "iss": "other"}, HS256, "claim_mismatch"),
        ({"sha256": BODY}, HS256, "claim_mismatch"),
        ({"iss": "netlify"}, HS256, "signature_mismatch"),
        ({**GOOD, "sha256": sha256(b"x").hexdigest()}, HS256, "signature_mismatch"),
        ({**GOOD, "sha256": 1}, HS256, "signature_mismatch"),
        ({**GOOD, "exp": NOW - 1}, HS256, "timestamp_too_old"),
        ({**GOOD, "exp": "soon"}, HS256, "timestamp_malformed"),
        ({**GOOD, "exp": 10**400}, HS256, "timestamp_malformed"),
        ({**GOOD, "exp": True}, HS256, "timestamp_malformed"),
        ({**GOOD, "nbf": NOW + 30}, HS256, "genuine"),
        ({**GOOD, "nbf": NOW + 90}, HS256, "timestamp_in_the_future"),
        ({**GOOD, "iat": NOW - 301}, HS256, "timestamp_too_old"),
    ],
)
def test_a_token_must_be_of_its_algorithm_and_say_what_it_should(claims: Any, header: Any, expected: str) -> None:
    assert code(netlify(hs256(claims, header)), "netlify", Credentials((SECRET,))) == expected


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token + b"=",
        lambda token: token.replace(b".", b".."),
        lambda token: b" " + token.replace(b".", b" ."),
        lambda token: token + b".x",
        lambda token: token.rpartition(b".")[0],
        lambda token: token.rpartition(b".")[0] + b".",
        lambda token: token[:-4] + "é".encode() + token[-2:],
        lambda token: token.replace(b".", b"+.", 1),
        lambda token: token + b"A" * 20_000,
        lambda token: b"A" + token,
    ],
)
def test_a_token_has_one_form_only(spoil: Any) -> None:
    refusal = code(netlify(spoil(hs256(GOOD))), "netlify", Credentials((SECRET,)))
    assert refusal in {"signature_malformed", "signature_mismatch"}


def test_the_public_key_is_no_shared_secret() -> None:
    """The oldest trick: HS256 with what everybody knows."""
    (pem,) = both_sides("wix")[1].secrets
    forged = SignedRequest("POST", "", (), hs256({"data": "{}"}, secret=pem))
    assert code(forged, "wix") == "algorithm_refused"


def test_a_key_in_the_header_is_not_believed() -> None:
    private, public = google_key()
    header = {"alg": "RS256", "kid": "generated", "jwk": json.loads(public.settings["jwks"])["keys"][0]}
    claims = {**dict(parse_claims(signed("google_oidc"))), "exp": NOW + 60}
    token = compact(header, claims, rs256(private))
    forged = SignedRequest("POST", "", ((b"authorization", b"Bearer " + token),), b"")
    assert code(forged, "google_oidc") == "signature_mismatch"


def parse_claims(request: SignedRequest) -> dict[str, Any]:
    token = request.values(b"authorization")[0].removeprefix(b"Bearer ")
    return parse(token, "RS256").payload


@pytest.mark.parametrize(
    "change", [{"email_verified": False}, {"email": "x"}, {"iss": "https://evil.example"}, {"aud": 1}]
)
def test_google_vouches_for_one_account_and_one_audience(change: dict[str, Any]) -> None:
    private, _ = both_sides("google_oidc")
    claims = {**parse_claims(signed("google_oidc")), **change}
    token = compact({"alg": "RS256", "kid": "generated"}, claims, rs256(private))
    request = SignedRequest("POST", "", ((b"authorization", b"Bearer " + token),), b"")
    assert code(request, "google_oidc") == "claim_mismatch"


def test_a_token_without_an_end_is_refused() -> None:
    private, _ = both_sides("google_oidc")
    claims = {name: value for name, value in parse_claims(signed("google_oidc")).items() if name != "exp"}
    token = compact({"alg": "RS256", "kid": "generated"}, claims, rs256(private))
    request = SignedRequest("POST", "", ((b"authorization", b"Bearer " + token),), b"")
    assert code(request, "google_oidc", now=None) == "timestamp_missing"


def test_vonage_compares_the_hash_of_the_body_where_it_is_sent() -> None:
    assert code(signed("vonage", b"")._replace(body=b"added"), "vonage") == "genuine"
    assert code(signed("vonage", b"{}")._replace(body=b"other"), "vonage") == "signature_mismatch"


def test_monday_sends_its_token_with_or_without_a_word_before_it() -> None:
    token = signed("monday").values(b"authorization")[0]
    for value in (token, b"Bearer " + token):
        request = unsigned("monday")._replace(headers=((b"authorization", value),))
        assert code(request, "monday") == "genuine"
    other = Credentials((SECRET,), {"audience": "https://other.example"})
    assert code(signed("monday"), "monday", other) == "claim_mismatch"


def test_plaid_says_when() -> None:
    private, _ = both_sides("plaid")
    claims = {"request_body_sha256": BODY}
    token = compact({"alg": "ES256", "kid": "generated"}, claims, es256(private))
    request = SignedRequest("POST", "", ((b"plaid-verification", token),), b"{}")
    assert code(request, "plaid") == "timestamp_missing"


@pytest.mark.parametrize(
    ("url", "base", "written"),
    [
        ("https://a.example/app/path/?b=2&a=1&a=0&jwt=x", "https://a.example/app", "GET&/path&a=0,1&b=2"),
        ("https://a.example/app", "https://a.example/app", "GET&/&"),
        ("https://a.example/?sp ace=%7E*&e", "", "GET&/&e=&sp%20ace=~%2A"),
        ("https://a.example/x&y", "", "GET&/x%26y&"),
    ],
)
def test_jira_hashes_method_path_and_query_in_order(url: str, base: str, written: str) -> None:
    assert query_hash(SignedRequest("get", url, (), b""), base) == sha256(written.encode()).hexdigest()


def test_jira_may_be_asked_for_one_installation_only() -> None:
    known = Credentials((SECRET,), {"client_key": "client-key"})
    assert code(signed("jira_connect"), "jira_connect", known) == "genuine"
    other = Credentials((SECRET,), {"client_key": "another"})
    assert code(signed("jira_connect"), "jira_connect", other) == "claim_mismatch"


APP, TENANT = "8e460676-ae3f-4b1e-8790-ee0fb5d6aa22", "84bd8158-6d4d-4958-8b9f-9d6445542f95"
GRAPH = {
    "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "aud": APP,
    "azp": "0bf30f3b-4a52-48df-9a82-234910c4a086",
    "exp": NOW + 60,
}


def graph(claims: dict[str, Any] | None) -> tuple[SignedRequest, Credentials]:
    private, public = google_key(email=CHAT)
    tokens = [] if claims is None else [compact({"alg": "RS256", "kid": "generated"}, claims, rs256(private)).decode()]
    rich = with_json(signed("graph_client_state"), validationTokens=tokens)
    rich = with_json(rich, value=[{"clientState": SECRET.decode(), "encryptedContent": {}}])
    settings = {"app_id": APP, "tenant_id": TENANT, "jwks": public.settings["jwks"]}
    return rich, Credentials((SECRET,), settings)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        (GRAPH, "genuine"),
        ({**GRAPH, "iss": f"https://sts.windows.net/{TENANT}/", "appid": GRAPH["azp"], "azp": None}, "genuine"),
        (None, "signature_missing"),
        ({**GRAPH, "aud": "other"}, "claim_mismatch"),
        ({**GRAPH, "azp": "other"}, "claim_mismatch"),
        ({**GRAPH, "iss": f"https://login.microsoftonline.com/{APP}/v2.0"}, "claim_mismatch"),
        ({**GRAPH, "iss": "https://evil.example/"}, "claim_mismatch"),
        ({**GRAPH, "exp": NOW - 1}, "timestamp_too_old"),
    ],
)
def test_graph_vouches_for_data_of_the_resource_with_tokens(claims: dict[str, Any] | None, expected: str) -> None:
    request, credentials = graph(claims)
    assert code(request, "graph_client_state", credentials) == expected


def test_graph_is_asked_for_its_keys() -> None:
    request, credentials = graph(GRAPH)
    without = credentials._replace(settings={"app_id": APP})
    outcome = verdict("graph_client_state", request, credentials=without)
    assert not isinstance(outcome, Genuine | NotGenuine)
    assert outcome.url == "https://login.microsoftonline.com/common/discovery/v2.0/keys"


def test_one_notification_of_graph_with_another_state_spoils_them_all() -> None:
    ours = {"clientState": SECRET.decode()}
    request = with_json(signed("graph_client_state"), value=[ours, {"clientState": "x"}])
    assert code(request, "graph_client_state") == "signature_mismatch"
    assert code(with_json(request, value=[]), "graph_client_state") == "signature_missing"
    assert code(with_json(request, value=[ours, {}]), "graph_client_state") == "signature_missing"


def test_tokens_are_written_without_padding() -> None:
    header, payload, signature = hs256({"a": "?>~"}).split(b".")
    assert b"=" not in header + payload + signature
    assert json.loads(base64.urlsafe_b64decode(payload + b"==")) == {"a": "?>~"}
    with pytest.raises(Refused, match="no compact JWS"):
        parse(b"x", "HS256")
