"""`opsconnect verify` before any terminal: every question gets an answer, however it is written."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.use_cases.verify_request import shown, verify_request
from tests.unit.catalog.walking import SHARED

STRIPE = next(vector for vector in SHARED if vector["id"] == "stripe-02")
SNS = next(vector for vector in SHARED if vector["id"] == "aws_sns-02")


def asked(question: Any, provider: str | None = None) -> dict[str, Any]:
    return shown(verify_request(question if isinstance(question, bytes) else json.dumps(question).encode(), provider))


def test_a_genuine_request_is_told_with_its_secret_its_id_and_its_type() -> None:
    assert asked(STRIPE) == {
        "id": "stripe-02",
        "provider": "stripe",
        "verdict": "valid",
        "code": "ok",
        "matched_secret": 1,
        "delivery_id": "evt_test_webhook",
        "event_type": None,
        "detail": "hmac-sha256",
    }


def test_a_refused_one_says_why_and_nothing_of_what_nobody_has_proved() -> None:
    answer = asked({**STRIPE, "now": 1700000400})
    assert (answer["verdict"], answer["code"]) == ("invalid", "timestamp_too_old")
    assert answer["detail"] == "authentic, but signed 400 s ago; 300 s are allowed"
    assert (answer["matched_secret"], answer["delivery_id"]) == (None, None)


@pytest.mark.parametrize("change", [{"now": None}, {"tolerance_s": 400}])
def test_freshness_is_judged_as_the_question_says(change: dict[str, Any]) -> None:
    assert asked({**STRIPE, "now": 1700000400, **change})["verdict"] == "valid"


def test_the_provider_may_be_named_once_for_all_and_an_object_may_name_its_own() -> None:
    unnamed = {name: value for name, value in STRIPE.items() if name not in {"provider", "scheme"}}
    assert asked(unnamed, "stripe")["verdict"] == "valid"
    assert asked(STRIPE, "github")["provider"] == "stripe"
    assert asked(unnamed)["code"] == "provider_missing"


def test_the_default_scheme_is_the_strongest_and_no_weaker_one_is_tried() -> None:
    v1 = next(vector for vector in SHARED if vector["id"] == "hubspot-01")
    assert asked(v1)["verdict"] == "valid"
    assert asked({**v1, "scheme": None})["code"] == "signature_missing"


def test_the_key_that_is_given_answers_whoever_wants_one_fetched() -> None:
    assert asked(SNS)["verdict"] == "valid"
    assert asked({**SNS, "key": None})["code"] == "key_unknown"
    assert asked({**SNS, "key": "no certificate"})["verdict"] == "invalid"


def test_headers_may_be_lists_of_pairs_or_have_lists_of_values() -> None:
    pairs = list(STRIPE["headers"].items())
    assert asked({**STRIPE, "headers": pairs})["verdict"] == "valid"
    twice = {**STRIPE["headers"], "Stripe-Signature": [STRIPE["headers"]["Stripe-Signature"]] * 2}
    assert asked({**STRIPE, "headers": twice})["code"] == "header_repeated"


@pytest.mark.parametrize(
    ("question", "code"),
    [
        (b"", "malformed_request"),
        (b"\xff", "malformed_request"),
        (b"[" * 100_000, "malformed_request"),
        (b'{"id": 1' + b"0" * 5000 + b"}", "malformed_request"),
        (b"[]", "malformed_request"),
        (b"null", "malformed_request"),
        ({"provider": 5}, "provider_missing"),
        ({"provider": "nobody"}, "provider_unknown"),
        ({"provider": "../stripe"}, "provider_unknown"),
        ({**STRIPE, "scheme": "md5"}, "scheme_unknown"),
        ({**STRIPE, "secret": 5}, "malformed_request"),
        ({**STRIPE, "secret": None}, "credentials_unusable"),
        ({**STRIPE, "secret": []}, "credentials_unusable"),
        ({**STRIPE, "secret": ""}, "credentials_unusable"),
        ({**STRIPE, "key": 5, "secret": None}, "malformed_request"),
        ({**STRIPE, "config": []}, "malformed_request"),
        ({**STRIPE, "headers": "x"}, "malformed_request"),
        ({**STRIPE, "headers": {"a": 1}}, "malformed_request"),
        ({**STRIPE, "headers": [["a"]]}, "malformed_request"),
        ({**STRIPE, "headers": None}, "signature_missing"),
        ({**STRIPE, "body_b64": "%%"}, "malformed_request"),
        ({**STRIPE, "body_b64": "é"}, "malformed_request"),
        ({**STRIPE, "body_b64": None}, "signature_mismatch"),
        ({**STRIPE, "now": "today"}, "malformed_request"),
        ({**STRIPE, "now": True}, "malformed_request"),
        ({**STRIPE, "now": 10**400}, "malformed_request"),
        ({**STRIPE, "tolerance_s": -1}, "malformed_request"),
        ({**STRIPE, "url": 5}, "malformed_request"),
        ({**STRIPE, "method": {}}, "malformed_request"),
        ({**STRIPE, "headers": {"Stripe-Signature": "\ud800"}}, "signature_malformed"),
    ],
)
def test_a_question_that_cannot_be_understood_is_answered_too(question: Any, code: str) -> None:
    answer = asked(question)
    assert (answer["verdict"], answer["code"]) == ("invalid", code), answer
    json.dumps(answer).encode("ascii")


@pytest.mark.parametrize("given", [b"null", b"7", b'"a"', b"[1]", b"1e999", b"1" * 4000])
def test_an_id_comes_back_as_it_was_given_where_json_can_say_it(given: bytes) -> None:
    answer = asked(b'{"id": ' + given + b"}")
    assert json.dumps(answer["id"]).encode() == (b"null" if given == b"1e999" else given)


def test_no_secret_is_quoted_in_an_answer() -> None:
    answer = asked({**STRIPE, "provider": "adyen", "scheme": None, "secret": "canary"})
    assert answer["code"] == "credentials_unusable"
    assert "canary" not in json.dumps(answer)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(SHARED), st.sampled_from(sorted(STRIPE)), anything)
def test_nothing_in_any_place_of_a_question_makes_it_raise(vector: dict[str, Any], name: str, value: Any) -> None:
    answer = asked(json.dumps({**vector, name: value}).encode())
    assert answer["verdict"] in {"valid", "invalid"}
    json.dumps(answer).encode("ascii")
