"""The declarative HMAC scheme: what is genuine passes, anything else is refused, nothing raises."""

import base64
import hmac
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.catalog.proof import Genuine, NotGenuine
from app.core.catalog.signatures import verify_hmac
from app.core.domain.source import HmacScheme

HEX = HmacScheme("x-signature", "sha256=")
BASE64 = HmacScheme("x-signature", "", "base64")


def sign(scheme: HmacScheme, secret: bytes, body: bytes) -> bytes:
    digest = hmac.new(secret, body, sha256).digest()
    text = digest.hex().encode() if scheme.encoding == "hex" else base64.b64encode(digest)
    return scheme.prefix.encode() + text


@given(st.sampled_from([HEX, BASE64]), st.binary(min_size=1), st.binary())
def test_a_right_signature_is_genuine(scheme: HmacScheme, secret: bytes, body: bytes) -> None:
    headers = [(b"host", b"x"), (b"x-signature", sign(scheme, secret, body))]
    assert verify_hmac(scheme, headers, body, [secret]) == Genuine("hmac-sha256")


@given(st.sampled_from([HEX, BASE64]), st.binary(min_size=1, max_size=40), st.binary(min_size=1), st.data())
def test_one_changed_bit_of_body_or_secret_is_refused(
    scheme: HmacScheme, secret: bytes, body: bytes, data: st.DataObject
) -> None:
    def changed(content: bytes) -> bytes:
        place = data.draw(st.integers(0, len(content) * 8 - 1))
        bits = bytearray(content)
        bits[place // 8] ^= 1 << place % 8
        return bytes(bits)

    headers = [(b"x-signature", sign(scheme, secret, body))]
    assert isinstance(verify_hmac(scheme, headers, changed(body), [secret]), NotGenuine)
    other = changed(secret)
    # HMAC pads short keys with NUL bytes, so those that differ in nothing else are the same key.
    if other.ljust(64, b"\0") != secret.ljust(64, b"\0"):
        assert isinstance(verify_hmac(scheme, headers, body, [other]), NotGenuine)


@given(st.sampled_from([HEX, BASE64]), st.binary(), st.binary())
def test_whatever_stands_in_the_header_nothing_raises(scheme: HmacScheme, value: bytes, body: bytes) -> None:
    assert isinstance(verify_hmac(scheme, [(b"x-signature", value)], body, [b"secret"]), NotGenuine)


def test_the_second_secret_counts_while_one_is_being_rotated() -> None:
    headers = [(b"x-signature", sign(HEX, b"old", b"body"))]
    assert verify_hmac(HEX, headers, b"body", [b"new", b"old"]) == Genuine("hmac-sha256#2", 2)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "signature_missing"),
        ([(b"x-signature", b"")], "signature_missing"),
        ([(b"x-signature", b"  ")], "signature_missing"),
        ([(b"x-signature", b"v1,")], "signature_mismatch"),
        ([(b"x-signature", b"sha256=")], "signature_mismatch"),
        ([(b"x-signature", b"sha256=abc")], "signature_mismatch"),
        ([(b"x-signature", b"sha256=" + b"zz" * 32)], "signature_mismatch"),
        ([(b"x-signature", "sha256=é".encode())], "signature_mismatch"),
        ([(b"x-signature", b"sha256=" + b"ab" * 32)], "signature_mismatch"),
        ([(b"x-signature", b"SHA256=" + sign(HEX, b"s", b"")[7:])], "signature_mismatch"),
        ([(b"x-signature", sign(HEX, b"s", b""))] * 2, "signature_mismatch"),
        ([(b"x-signature", b",".join([sign(HEX, b"s", b"")] * 10_000))], "signature_mismatch"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_code(headers: list[tuple[bytes, bytes]], code: str) -> None:
    verdict = verify_hmac(HEX, headers, b"", [b"s"])
    assert isinstance(verdict, NotGenuine)
    assert verdict.code == code
