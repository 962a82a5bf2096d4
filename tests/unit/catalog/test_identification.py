"""Which delivery a request is: rows say where to look, and nothing that stands there makes it raise."""

import base64
import json
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.catalog.catalogue import find, providers
from app.core.catalog.identification import Identity, identifier, identify
from app.core.catalog.proof import SignedRequest
from app.core.catalog.provider import Delivery, Place, Text

JSON = (b"content-type", b"application/json")
FORM = (b"content-type", b"application/x-www-form-urlencoded")


def asked(name: str, body: Any = b"", *headers: tuple[bytes, bytes], kind: tuple[bytes, bytes] = JSON) -> Identity:
    provider = find(name)
    assert provider is not None
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return identify(provider.delivery, SignedRequest("POST", "", [kind, *headers], raw))


def test_of_several_places_the_first_that_is_there_counts() -> None:
    assert asked("github", {"action": "opened"}, (b"x-github-event", b"issues")).event_type == b"issues.opened"
    assert asked("github", {"ref": "x"}, (b"x-github-event", b"push")).event_type == b"push"
    assert asked("github", {"action": "opened"}) == Identity(None, None, None)


def test_the_json_in_a_field_of_a_form_is_read() -> None:
    payload = quote(json.dumps({"action": "closed"})).encode()
    told = asked("github", b"payload=" + payload, (b"x-github-event", b"issues"), kind=FORM)
    assert told.event_type == b"issues.closed"
    assert asked("slack", b"command=%2Fdeploy&text=now", kind=FORM).event_type == b"/deploy"
    assert asked("slack", b"payload=%7B%22type%22%3A%22block_actions%22%7D", kind=FORM).event_type == b"block_actions"


def test_json_that_says_it_is_plain_text_is_read() -> None:
    told = asked("aws_sns", {"MessageId": "m1", "Type": "Notification"}, kind=(b"content-type", b"text/plain"))
    assert (told.delivery_id, told.event_type) == (b"m1", b"Notification")


def test_what_is_wrapped_in_a_token_or_in_xml_is_read() -> None:
    claims = base64.urlsafe_b64encode(b'{"notificationUUID":"u1","notificationType":"TEST"}').decode().rstrip("=")
    assert asked("apple_appstore", {"signedPayload": f"e30.{claims}.c2ln"})[:2] == (b"u1", b"TEST")
    token = base64.urlsafe_b64encode(b'{"jti":"j1"}').decode().rstrip("=")
    assert asked("vonage", {}, (b"authorization", f"Bearer e30.{token}.c2ln".encode())).delivery_id == b"j1"
    soap = (
        b'<e:Body xmlns:e="x"><Notification><Id>04l1</Id><sObject><sf:Id>00Q1</sf:Id></sObject></Notification></e:Body>'
    )
    assert asked("salesforce_outbound_message", soap, kind=(b"content-type", b"text/xml")).delivery_id == b"04l1"


def test_an_entity_with_another_status_is_another_delivery() -> None:
    sent, done = (
        asked("twilio", b"MessageSid=SM1&MessageStatus=" + status, kind=FORM) for status in (b"sent", b"done")
    )
    assert sent.delivery_id == done.delivery_id == b"SM1"
    assert sent.key != done.key
    assert sent.key == asked("twilio", b"MessageStatus=sent&MessageSid=SM1", kind=FORM).key


def test_where_nothing_tells_an_entitys_deliveries_apart_the_body_does() -> None:
    first, second = (asked("twilio", b"CallSid=CA1&Digits=" + digit, kind=FORM) for digit in (b"1", b"2"))
    assert first.delivery_id == second.delivery_id == b"CA1"
    assert first.key != second.key


def test_a_batch_with_another_item_behind_the_same_first_one_is_another_delivery() -> None:
    one = asked("sendgrid", [{"sg_event_id": "a", "event": "open"}])
    two = asked("sendgrid", [{"sg_event_id": "a", "event": "open"}, {"sg_event_id": "b"}])
    assert one.delivery_id == two.delivery_id == b"a"
    assert one.key != two.key
    retried = [{"eventId": 1, "subscriptionId": 2, "attemptNumber": number} for number in (0, 1)]
    assert asked("hubspot", [retried[0]]).key == asked("hubspot", [retried[1]]).key


def test_an_id_of_one_item_of_many_leaves_the_key_to_the_whole_body() -> None:
    entry = {"object": "page", "entry": [{"messaging": [{"message": {"mid": "m"}}]}]}
    assert asked("meta", entry) == Identity(b"m", b"page.messaging", None)


def test_a_body_that_claims_to_be_json_and_is_not_says_so() -> None:
    told = asked("stripe", b"{nonsense")
    assert told.delivery_id is None
    assert told.unreadable is not None
    assert asked("stripe", b"").unreadable is None
    assert asked("github", b"{nonsense", (b"x-github-delivery", b"1")).delivery_id == b"1"


@pytest.mark.parametrize("value", [None, True, 1.5, [], {}, ""])
def test_what_does_not_identify_is_no_id(value: Any) -> None:
    assert asked("stripe", {"id": value}).delivery_id is None


def test_integers_of_any_size_stay_exact() -> None:
    assert asked("telegram", b'{"update_id":12345678901234567890123,"message":{}}')[:2] == (
        b"12345678901234567890123",
        b"message",
    )


def test_an_id_is_given_as_it_came_with_nothing_made_of_its_bytes() -> None:
    assert asked("github", b"", (b"x-github-delivery", b"\xff\x00../")).delivery_id == b"\xff\x00../"
    assert asked("stripe", b'{"id":"\\ud800"}').delivery_id == b"\xed\xa0\x80"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "type", "entry", "events"]), inner)
    ),
    max_leaves=12,
)


@given(values, st.binary(max_size=60), st.sampled_from([JSON, FORM, (b"content-type", b"text/xml")]))
def test_whatever_stands_in_a_body_nothing_raises(value: Any, raw: bytes, kind: tuple[bytes, bytes]) -> None:
    for provider in providers():
        for body in (json.dumps(value).encode(), raw):
            asked(provider.name, body, (b"authorization", raw), kind=kind)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"x-id", b"x-type", b"x-other"]), st.sampled_from([b"", b" ", b"a", b" b ", b"\xff"])
        ),
        max_size=4,
    ),
    st.sampled_from([(), (((Place("header", "x-id")),),)]),
    st.sampled_from([(), (((Place("header", "x-type")),),)]),
)
def test_a_row_of_headers_alone_is_read_alike_the_quick_way(
    headers: list[tuple[bytes, bytes]], id_ways: tuple[Text, ...], type_ways: tuple[Text, ...]
) -> None:
    delivery = Delivery(id=id_ways, type=type_ways)
    request = SignedRequest("POST", "", headers, b"{")
    quick, thorough = identifier(delivery)(request), identify(delivery, request)
    assert quick == thorough
    assert isinstance(identifier(delivery), partial) is False
