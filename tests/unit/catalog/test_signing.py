"""The table the other way round: what we sign is what the provider signs, and what we take."""

import base64
from typing import Any

import pytest

from app.core.catalog.credentials import credentials_of
from app.core.catalog.proof import Credentials, Genuine, SignedRequest
from app.core.catalog.provider import Coded, Mac, Scheme, SharedSecret
from app.core.catalog.signing import sign
from app.core.catalog.timestamps import READERS, written
from app.core.catalog.verifying import prepare
from tests.unit.catalog.test_declarative_schemes import MACS, NOW, SHARED, secret_for
from tests.unit.catalog.walking import ALL, row_of


def stamped(mac: Mac, headers: list[tuple[bytes, bytes]]) -> float | None:
    """When a vector was signed: None where it does not say, or says it more finely than we write it."""
    if mac.timestamp is None:
        return NOW
    texts = [value for name, value in headers if name in mac.timestamp.name.lower().encode().split(b"|")]
    if mac.timestamp.place == "item":
        items = (
            next(value for name, value in headers if name == mac.headers[0].encode()).replace(b";", b",").split(b",")
        )
        texts = [
            item.strip().partition(b"=")[2] for item in items if item.strip().startswith(mac.timestamp.name.encode())
        ]
    if mac.timestamp.place == "body":
        return NOW
    seconds = READERS[mac.timestamp.unit](texts[0])
    return seconds if seconds is not None and written(mac.timestamp.unit, seconds) == texts[0] else None


def headers_of(vector: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in vector["headers"].items()]


def signed_by_table(vector: dict[str, Any]) -> bool:
    mac = row_of(vector)[1].proof
    return vector["expect"] == "valid" and isinstance(mac, Mac) and stamped(mac, headers_of(vector)) is not None


@pytest.mark.parametrize(
    "vector", [vector for vector in ALL if signed_by_table(vector)], ids=lambda vector: vector["id"]
)
def test_signing_a_vectors_body_gives_its_signature(vector: dict[str, Any]) -> None:
    """With one of its secrets, at its time."""
    scheme, headers = row_of(vector)[1], headers_of(vector)
    mac = scheme.proof
    assert isinstance(mac, Mac)
    request = SignedRequest(vector["method"], vector["url"], headers, base64.b64decode(vector["body_b64"]))
    separator = mac.list.separator.encode() if mac.list else b"\0"
    made = [
        sign(scheme, Credentials((secret,)), request, stamped(mac, headers) or 0)
        .headers[-1][1]
        .rpartition(separator)[2]
        for secret in credentials_of(vector["provider"], vector["secret"]).secrets
    ]
    assert any(code in value for code in made for _, value in headers)


@pytest.mark.parametrize("name", MACS)
def test_what_we_sign_we_take(name: str) -> None:
    scheme, secret = MACS[name], secret_for(MACS[name])
    request = sign(scheme, Credentials((secret,)), SignedRequest("POST", "https://h.example/in", [], b'{"a":1}'), NOW)
    again = sign(scheme, Credentials((secret,)), request, NOW)
    assert sorted(again.headers) == sorted(request.headers)
    assert isinstance(prepare(scheme, Credentials((secret,)))(request, NOW), Genuine)


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("secret", [b"plain", b"user:p&s s=w\xc3\xb6rd"])
def test_what_we_show_we_take(name: str, secret: bytes) -> None:
    scheme = SHARED[name]
    request = sign(scheme, Credentials((secret,)), SignedRequest("POST", "https://h.example/in", [], b'{"a":1}'), NOW)
    assert isinstance(prepare(scheme, Credentials((secret,)))(request, None), Genuine)


@pytest.mark.parametrize("scheme", [Scheme("x", SharedSecret("body", ("token",))), MACS["linear-linear"]])
def test_what_belongs_into_a_json_body_needs_one(scheme: Scheme) -> None:
    with pytest.raises(ValueError, match="of a JSON object, and the body is none"):
        sign(scheme, Credentials((b"s",)), SignedRequest("POST", "", [], b"no json"), NOW)


def test_a_signed_url_that_is_not_known_cannot_be_signed() -> None:
    with pytest.raises(ValueError, match="public_url"):
        sign(MACS["trello-trello"], Credentials((b"s",)), SignedRequest("POST", "", [], b"x"), NOW)


def test_a_scheme_with_code_is_signed_by_its_code() -> None:
    scheme = Scheme("discord", Coded("recurly"))
    request = sign(scheme, Credentials((b"s",)), SignedRequest("POST", "", [], b"{}"), NOW)
    assert isinstance(prepare(scheme, Credentials((b"s",)))(request, NOW), Genuine)


@pytest.mark.parametrize(
    ("name", "header", "begins"),
    [("workos-workos", b"workos-signature", b"t=1700000000000, v1="), ("resend-resend", b"svix-signature", b"v1,")],
)
def test_what_we_sign_looks_as_its_provider_writes_it(name: str, header: bytes, begins: bytes) -> None:
    """WorkOS's own library wants the blank after the comma, Resend's and Clerk's look for Svix's headers."""
    secret = secret_for(MACS[name])
    request = sign(MACS[name], Credentials((secret,)), SignedRequest("POST", "", [], b"{}"), NOW)
    assert request.values(header)[0].startswith(begins)
