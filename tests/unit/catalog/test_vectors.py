"""What providers and we have signed, asked of the catalogue as `opsconnect verify` is asked."""

import base64
import json
from typing import Any

import pytest

from app.core.catalog.catalogue import providers
from app.core.catalog.provider import Coded
from app.core.use_cases.verify_request import shown, verify_request
from tests.unit.catalog.samples import SAMPLES
from tests.unit.catalog.walking import ALL, GENERATED, HANDSHAKES, SHARED, row_of
from tests.vectors.generating import generated

# What the vectors call a fault, and what we call it where that is one word for word.
CODES = {
    "signature-mismatch": {"signature_mismatch"},
    "no-signature-of-expected-version": {"signature_malformed", "timestamp_missing"},
    "missing-signature-header": {"signature_missing"},
    "missing-header:webhook-id": {"header_missing"},
    "missing-timestamp": {"timestamp_missing"},
    "malformed-timestamp": {"timestamp_malformed"},
    "timestamp-too-old": {"timestamp_too_old"},
    "timestamp-in-future": {"timestamp_in_the_future"},
    "token-mismatch": {"token_mismatch"},
    "authorization-mismatch": {"token_mismatch"},
    "basic-auth-mismatch": {"token_mismatch"},
}


@pytest.mark.parametrize("vector", ALL, ids=lambda vector: vector["id"])
def test_a_vector_gets_its_verdict_and_its_reason(vector: dict[str, Any]) -> None:
    answer = shown(verify_request(json.dumps(vector).encode()))
    assert (answer["id"], answer["verdict"]) == (vector["id"], vector["expect"]), answer
    assert answer["code"] in CODES.get(vector.get("why", ""), {answer["code"]})


@pytest.mark.parametrize(
    "vector", [vector for vector in ALL if vector["expect"] == "valid"], ids=lambda vector: vector["id"]
)
def test_a_genuine_vector_is_identified(vector: dict[str, Any]) -> None:
    answer = shown(verify_request(json.dumps(vector).encode()))
    if vector["id"] == "quickbooks-01":  # here the vector only says what the id is made of
        vector = {**vector, "event_id": "1185883450+Customer+1+Create+2015-10-05T14:42:19-0700"}
    for told, name in [("delivery_id", "event_id"), ("event_type", "event_type")]:
        if vector.get(name) is not None:
            assert answer[told] == vector[name]


@pytest.mark.parametrize("challenge", HANDSHAKES, ids=lambda challenge: challenge["id"])
def test_a_challenge_is_answered_beside_its_verdict(challenge: dict[str, Any]) -> None:
    answer, expected = shown(verify_request(json.dumps(challenge).encode())), challenge["expect_response"]
    given = answer["handshake"]
    assert given["status"] == expected["status"]
    assert (answer["verdict"] == "valid") is (expected["status"] < 400)
    if expected["match"] in {"exact", "json"}:
        assert given["headers"].items() >= expected["headers"].items()
    if expected["match"] == "exact":
        assert given["body_b64"] == expected["body_b64"]
    if expected["match"] == "json":
        made, wanted = (json.loads(base64.b64decode(body)) for body in (given["body_b64"], expected["body_b64"]))
        assert made == wanted


def test_a_badly_signed_challenge_stays_badly_signed_and_hears_what_bad_events_hear() -> None:
    (slack,) = (challenge for challenge in HANDSHAKES if challenge["id"] == "slack-challenge-01")
    answer = shown(verify_request(json.dumps({**slack, "config": {"signing_secret": "another"}}).encode()))
    assert (answer["verdict"], answer["code"]) == ("invalid", "signature_mismatch")
    assert answer["handshake"] == {"status": 401, "headers": {}, "body_b64": ""}


def test_an_event_that_is_badly_signed_is_no_challenge() -> None:
    (twilio,) = (vector for vector in SHARED if vector["id"] == "twilio-10")
    assert "handshake" not in shown(verify_request(json.dumps(twilio).encode()))


def test_the_second_of_several_secrets_is_numbered() -> None:
    (vector,) = (vector for vector in SHARED if vector["id"] == "github-06")
    answer = shown(verify_request(json.dumps(vector).encode()))
    assert (answer["matched_secret"], answer["detail"]) == (2, "hmac-sha256#2")


def test_every_scheme_of_every_provider_has_a_genuine_vector_or_a_sample_that_is_signed() -> None:
    """Samples are those of schemes with code, which `test_schemes` signs and asks."""
    genuine = {(row_of(vector)[0].name, vector["scheme"]) for vector in ALL if vector["expect"] == "valid"}
    for provider in providers():
        for scheme in provider.schemes:
            sampled = isinstance(scheme.proof, Coded) and scheme.proof.name in SAMPLES
            assert sampled or (provider.name, scheme.name) in genuine, (provider.name, scheme.name)


def test_what_we_made_ourselves_is_what_the_second_writing_down_makes() -> None:
    assert generated() == GENERATED
