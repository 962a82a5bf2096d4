"""Every challenge of `tests/vectors/handshakes.json` gets the answer that its provider wants."""

import base64
import json
from typing import Any

import pytest

from app.core.catalog.handshakes import HandshakeAnswer, answer, credentials_of_challenge
from app.core.catalog.proof import Freshness, Genuine
from app.core.catalog.schemes import SCHEMES
from tests.unit.catalog.vectors import HANDSHAKES, request_of

SCHEME_OF = {"discord": "discord", "aws_sns": "sns"}
SIGNED = [vector for vector in HANDSHAKES if vector["provider"] in SCHEME_OF]
BADLY_SIGNED = {"discord-challenge-03", "xero-challenge-02"}
"""Signed challenges whose signature is wrong: they are recognised, and refused by whoever verifies them."""


def answered(vector: dict[str, Any]) -> HandshakeAnswer | None:
    credentials = credentials_of_challenge(vector["provider"], vector["config"])
    return answer(vector["provider"], request_of(vector), credentials, vector["now"])


@pytest.mark.parametrize("vector", HANDSHAKES, ids=lambda vector: vector["id"])
def test_a_challenge_gets_its_answer(vector: dict[str, Any]) -> None:
    given, expected = answered(vector), vector["expect_response"]
    assert given is not None
    if vector["id"] in BADLY_SIGNED:
        assert given.needs_signature
        return
    assert given.status == expected["status"]
    if expected["match"] in {"exact", "status+headers", "json"}:
        assert given.headers.items() >= expected["headers"].items()
    body = base64.b64decode(expected["body_b64"])
    if expected["match"] == "json":
        assert json.loads(given.body) == json.loads(body)
    elif expected["match"] == "exact":
        assert given.body == body


@pytest.mark.parametrize(
    "vector", [v for v in HANDSHAKES if v["provider"] in SCHEME_OF], ids=lambda vector: vector["id"]
)
def test_a_signed_challenge_is_verified_by_the_credentials_of_its_configuration(vector: dict[str, Any]) -> None:
    credentials = credentials_of_challenge(vector["provider"], vector["config"])
    verify = SCHEMES[SCHEME_OF[vector["provider"]]](credentials, Freshness())
    genuine = isinstance(verify(request_of(vector), vector["now"]), Genuine)
    assert genuine == (vector["id"] not in BADLY_SIGNED)


@pytest.mark.parametrize("vector", HANDSHAKES, ids=lambda vector: vector["id"])
def test_a_challenge_repeats_for_life(vector: dict[str, Any]) -> None:
    assert answered(vector) == answered(vector)
