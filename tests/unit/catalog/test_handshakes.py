"""The challenges that no vector shows, and what must never come of one."""

import base64
import hmac
import json
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.catalog.handshakes import HANDSHAKES, HandshakeAnswer, answer, credentials_of_challenge
from app.core.catalog.proof import Credentials, SignedRequest
from app.core.catalog.schemes.signing import SIGNERS
from tests.unit.catalog.fuzzed import fuzzed

URL = "https://hooks.example.com/in"


def ask(
    provider: str,
    *,
    method: str = "GET",
    query: str = "",
    headers: dict[str, str] | None = None,
    body: Any = b"",
    config: dict[str, Any] | None = None,
) -> HandshakeAnswer | None:
    pairs = tuple((name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items())
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = SignedRequest(method, URL + query, pairs, content)
    return answer(provider, request, credentials_of_challenge(provider, config or {}), None)


def told(provider: str, **question: Any) -> HandshakeAnswer:
    given = ask(provider, **question)
    assert given is not None
    return given


def test_meta_and_its_kin_get_their_challenge_for_the_agreed_token() -> None:
    query = "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meatyhamhock"
    for provider in ("meta", "whatsapp", "messenger", "instagram"):
        given = told(provider, query=query, config={"verify_token": "meatyhamhock"})
        assert (given.status, given.body) == (200, b"1158201444")
        assert given.headers == {"Content-Type": "text/plain", "X-Content-Type-Options": "nosniff"}
        assert told(provider, query=query).status == 403  # no token was agreed: nobody knows it


def test_a_hub_is_believed_about_topics_that_are_wanted() -> None:
    config = {"topics": ["https://example.com/feed", "https://example.com/other"]}
    topic = quote("https://example.com/other", safe="")
    wanted = f"?hub.mode=subscribe&hub.topic={topic}&hub.challenge=abc"
    assert told("websub", query=wanted, config=config).body == b"abc"
    ended = wanted.replace("subscribe", "unsubscribe")
    assert told("websub", query=ended, config=config).status == 404
    assert told("websub", query=ended).body == b"abc"
    assert told("websub", query="?hub.mode=denied&hub.topic=x").status == 200


@pytest.mark.parametrize(("provider", "name"), [("dropbox", "challenge"), ("nylas", "challenge"), ("onfleet", "check")])
def test_a_query_is_given_back_as_it_is(provider: str, name: str) -> None:
    assert told(provider, query=f"?{name}=a%20b%2Bc").body == b"a b+c"


def test_linkedin_gets_the_code_and_its_hmac() -> None:
    given = told("linkedin", query="?challengeCode=890e4665", config={"client_secret": "s"})
    expected = hmac.digest(b"s", b"890e4665", "sha256").hex()
    assert json.loads(given.body) == {"challengeCode": "890e4665", "challengeResponse": expected}


def test_ebay_gets_the_hash_over_the_url_of_the_request_where_no_endpoint_is_configured() -> None:
    given = told("ebay", query="?challenge_code=c", config={"verification_token": "t"})
    assert json.loads(given.body) == {"challengeResponse": sha256(f"ct{URL}".encode()).hexdigest()}


def test_fitbit_gets_204_for_the_right_code() -> None:
    assert told("fitbit", query="?verify=right", config={"code": "right"}).status == 204


def test_okta_gets_its_header_in_json() -> None:
    headers = {"x-okta-verification-challenge": "value", "Authorization": "agreed"}
    given = told("okta", headers=headers, config={"authorization": "agreed"})
    assert json.loads(given.body) == {"verification": "value"}
    assert told("okta", headers=headers, config={"authorization": "other"}).status == 401


def test_smartsheet_gets_its_challenge_in_header_and_body() -> None:
    given = told("smartsheet", method="POST", headers={"Smartsheet-Hook-Challenge": "c1"}, body={"challenge": "c1"})
    assert given.headers["Smartsheet-Hook-Response"] == "c1"
    assert json.loads(given.body) == {"smartsheetHookResponse": "c1"}


@pytest.mark.parametrize(
    ("provider", "body", "expected"),
    [
        ("monday", {"challenge": "c"}, {"challenge": "c"}),
        ("toggl", {"payload": "ping", "validation_code": "v"}, {"validation_code": "v"}),
    ],
)
def test_an_unsigned_body_is_given_back(provider: str, body: dict[str, str], expected: dict[str, str]) -> None:
    given = told(provider, method="POST", body=body)
    assert json.loads(given.body) == expected
    assert not given.needs_signature


def test_secrets_that_come_with_a_challenge_are_handed_on_and_not_taken() -> None:
    asana = told("asana", method="POST", headers={"X-Hook-Secret": "b5372"}, body={})
    assert asana.stores_secret == b"b5372"
    notion = told("notion", method="POST", body={"verification_token": "secret_1"})
    assert notion.stores_secret == b"secret_1"
    assert ask("notion", method="POST", body={"type": "page.created", "verification_token": "x"}) is None


def test_slack_zoom_and_twitch_are_verified_first() -> None:
    slack = told("slack", method="POST", body={"type": "url_verification", "challenge": "c"})
    zoom_body = {"event": "endpoint.url_validation", "payload": {"plainToken": "p"}}
    zoom = told("zoom", method="POST", body=zoom_body, config={"secret": "s"})
    kind = {"Twitch-Eventsub-Message-Type": "webhook_callback_verification"}
    twitch = told("twitch", method="POST", headers=kind, body={"challenge": "c"})
    assert slack.needs_signature
    assert zoom.needs_signature
    assert twitch.needs_signature


def test_discord_tells_pings_from_events() -> None:
    pong = told("discord", method="POST", body={"type": 1})
    assert json.loads(pong.body) == {"type": 1}
    ping = told("discord", method="POST", body={"type": 0, "application_id": "1"})
    assert (ping.status, ping.after_event) == (204, False)
    event = told("discord", method="POST", body={"type": 1, "event": {"type": "APPLICATION_AUTHORIZED"}})
    assert (event.status, event.after_event) == (204, True)
    assert all(each.needs_signature for each in (pong, ping, event))
    assert ask("discord", method="POST", body={"type": 2}) is None
    assert ask("discord", method="POST", body={"type": True}) is None


def test_line_and_xero_may_send_no_events_at_all() -> None:
    for provider in ("line", "xero"):
        given = told(provider, method="POST", body={"destination": "x", "events": []})
        assert (given.status, given.body, given.needs_signature) == (200, b"", True)
        assert ask(provider, method="POST", body={"events": [{"id": 1}]}) is None


def test_sns_is_confirmed_at_an_address_of_sns_only() -> None:
    def confirm(url: str) -> HandshakeAnswer:
        return told("aws_sns", method="POST", body={"Type": "SubscriptionConfirmation", "SubscribeURL": url})

    good = "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:a:1:T&Token=2336"
    assert (confirm(good).fetch, confirm(good).needs_signature) == (good, True)
    for bad in (
        good.replace("https", "http"),
        good.replace("amazonaws.com", "amazonaws.com.evil.example"),
        good.replace("amazonaws.com/", "amazonaws.com:8443/"),
        good.replace("https://", "https://user@"),
        good.replace("Confirm", "Un"),
        good + "#x",
        "https://sns.us-west-2.amazonaws.com@evil.example/?Action=ConfirmSubscription&Token=1",
        "",
    ):
        assert (confirm(bad).status, confirm(bad).fetch) == (403, None)


def test_cloudevents_of_an_origin_that_is_not_allowed_get_no_header() -> None:
    for provider in ("cloudevents", "azure_eventgrid_cloudevents", "azure_eventgrid"):
        headers = {"WebHook-Request-Origin": "evil.example", "WebHook-Request-Rate": "1"}
        given = told(provider, method="OPTIONS", headers=headers, config={"allowed_origins": ["good.example"]})
        assert given == HandshakeAnswer(200)
        anybody = told(provider, method="OPTIONS", headers=headers, config={"allowed_origins": ["*"]})
        assert anybody.headers["WebHook-Allowed-Origin"] == "*"
        assert anybody.headers["WebHook-Allowed-Rate"] == "*"


def test_whoever_asks_whether_anybody_is_there_gets_a_yes() -> None:
    for provider, method in (("trello", "HEAD"), ("mandrill", "HEAD"), ("mailchimp", "GET")):
        assert told(provider, method=method).status == 200


def test_mandrills_test_is_signed_with_the_key_that_everybody_knows() -> None:
    test = SignedRequest("POST", URL, (), b"mandrill_events=%5B%5D")
    signed = SIGNERS["mandrill"](Credentials((b"test-webhook",)), test, 0)
    assert answer("mandrill", signed, Credentials((b"key",)), None) == HandshakeAnswer(200)
    assert answer("mandrill", test, Credentials((b"key",)), None) is None


def test_senders_that_insist_on_an_answer_have_their_event_kept_first() -> None:
    message = b"<notifications><OrganizationId>00D5g00000AbCdEEAV</OrganizationId></notifications>"
    for organization in ("00D5g00000AbCdEEAV", "00D5g00000AbCdE"):
        ack = told("salesforce_outbound_message", method="POST", body=message, config={"organization_id": organization})
        assert (ack.status, ack.after_event) == (200, True)
        assert b"<Ack>true</Ack>" in ack.body
    item = told("adyen", method="POST", body={"notificationItems": [{}]})
    assert (item.body, item.after_event, item.needs_signature) == (b"[accepted]", True, True)
    wrong = told("adyen", method="POST", body={"notificationItems": []}, config={"basic": "user:pass"})
    assert wrong.status == 401
    for provider in ("twilio", "msteams"):
        given = told(provider, method="POST", body=b"x")
        assert (given.after_event, given.needs_signature) == (True, True)


def test_the_words_of_a_configuration_become_secrets_and_settings() -> None:
    sorted_out = credentials_of_challenge("meta", {"app_secret": "s", "verify_token": "v"})
    assert sorted_out == Credentials((b"s",), {"verify_token": "v"})
    assert credentials_of_challenge("lark", {"verification_token": "t"}).secrets == (b"t",)
    assert credentials_of_challenge("ebay", {"verification_token": "t"}).settings == {"verification_token": "t"}
    assert credentials_of_challenge("cloudevents", {"allowed_origins": ["a", "b"], "rate": 1}).settings == {
        "allowed_origins": "a b",
        "rate": "1",
    }


REFLECTED = [
    ("dropbox", lambda value: {"query": f"?challenge={quote(value)}"}),
    ("msgraph", lambda value: {"method": "POST", "query": f"?validationToken={quote(value)}"}),
    ("x", lambda value: {"query": f"?crc_token={quote(value)}", "config": {"consumer_secret": "s"}}),
    ("monday", lambda value: {"method": "POST", "body": {"challenge": value}}),
    ("slack", lambda value: {"method": "POST", "body": {"type": "url_verification", "challenge": value}}),
    ("notion", lambda value: {"method": "POST", "body": {"verification_token": value}}),
]


@pytest.mark.parametrize(("provider", "question"), REFLECTED, ids=[provider for provider, _ in REFLECTED])
@pytest.mark.parametrize("value", ["x" * 1_025, "a\r\nSet-Cookie: b", "\x00", "ünïcode", "\u202etxt"])
def test_nothing_long_or_strange_is_reflected(provider: str, question: Any, value: str) -> None:
    assert told(provider, **question(value)).status == 400


@pytest.mark.parametrize("name", ["x-hook-secret", "smartsheet-hook-challenge"])
def test_no_header_is_reflected_that_could_hold_another(name: str) -> None:
    provider = "asana" if name == "x-hook-secret" else "smartsheet"
    assert told(provider, method="POST", headers={name: "a\tb"}).status == 400
    assert told(provider, method="POST", headers={name: "é"}).status == 400


NAMES = st.sampled_from(
    [
        *("hub.mode", "hub.challenge", "hub.topic", "hub.verify_token", "challenge", "check", "echostr", "crc_token"),
        *("challengeCode", "challenge_code", "bt_challenge", "verify", "validationToken", "timestamp", "nonce"),
    ]
)
KEYS = ["type", "challenge", "event", "events", "payload", "plainToken", "token", "validation_code", "Type", "data"]
JSON_BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["url_verification", "validationCode"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


@fuzzed(usually=160)
@given(
    st.sampled_from(sorted(HANDSHAKES)),
    st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "PUT"]),
    st.lists(st.tuples(NAMES, st.text(st.characters(codec="utf-8"), max_size=20)), max_size=4),
    st.dictionaries(
        st.sampled_from(
            [b"x-hook-secret", b"x-okta-verification-challenge", b"webhook-request-origin", b"authorization"]
        ),
        st.binary(max_size=20),
    ),
    st.binary(max_size=60) | JSON_BODIES.map(lambda value: json.dumps(value).encode()),
)
def test_whatever_is_asked_nothing_raises_and_nothing_is_taken_for_a_page(
    provider: str, method: str, query: list[tuple[str, str]], headers: dict[bytes, bytes], body: bytes
) -> None:
    url = URL + "?" + "&".join(f"{name}={quote(value)}" for name, value in query)
    request = SignedRequest(method, url, tuple(headers.items()), body)
    given = answer(provider, request, Credentials((b"secret",), {"verify_token": "t", "public_key": "p"}), None)
    if given is not None:
        for name, value in given.headers.items():
            assert name.isascii()
            assert value.isascii()
            assert value.isprintable()
            assert "html" not in value
        assert not given.body or "X-Content-Type-Options" in given.headers


def test_the_hmac_of_x_is_in_base64() -> None:
    given = told("x", query="?crc_token=c", config={"consumer_secret": "s"})
    expected = base64.b64encode(hmac.digest(b"s", b"c", "sha256")).decode()
    assert json.loads(given.body) == {"response_token": f"sha256={expected}"}
