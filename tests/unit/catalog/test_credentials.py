"""The shapes in which people write credentials, and the one shape that schemes take."""

from typing import Any

import pytest

from app.core.catalog.credentials import credentials_of
from app.core.catalog.proof import Credentials


@pytest.mark.parametrize(
    ("secret", "key", "config", "expected"),
    [
        (None, None, None, Credentials()),
        ("s", None, None, Credentials((b"s",))),
        (["new", "old"], None, None, Credentials((b"new", b"old"))),
        ({"public_key": "p", "private_key": "s"}, None, None, Credentials((b"s",), {"public_key": "p"})),
        ({"primary": "1", "secondary": "2"}, None, None, Credentials((b"1", b"2"))),
        ({"secondary": "2"}, None, None, Credentials((b"", b"2"))),
        ({"primary": "1", "secondary": None}, None, None, Credentials((b"1", b""))),
        (None, "-----BEGIN…", None, Credentials(("-----BEGIN…".encode(),))),
        (None, {"bundle_id": "b", "root_der_b64": "r"}, None, Credentials((), {"bundle_id": "b", "root_der_b64": "r"})),
        (None, {"jwks": {"k": {"kty": "EC"}}}, None, Credentials((), {"jwks": '{"k": {"kty": "EC"}}'})),
        (None, {"id-1": "pem"}, None, Credentials(keys={"kid:id-1": b"pem"})),
        (None, {"id-1": {"kty": "EC"}}, None, Credentials(keys={"kid:id-1": b'{"kty": "EC"}'})),
        (
            None,
            None,
            {"verify_token": "v", "topics": ["a", "b"]},
            Credentials((), {"verify_token": "v", "topics": "a b"}),
        ),
        (None, None, {"signing_secret": "s", "rate": 100}, Credentials((b"s",), {"rate": "100"})),
        ("s", None, {"client_secret": "c", "code": "k"}, Credentials((b"s",), {"code": "k"})),
        (None, "pem", {"cert_pem": "c"}, Credentials((b"pem",))),
    ],
)
def test_every_shape_comes_to_the_same(secret: Any, key: Any, config: Any, expected: Credentials) -> None:
    assert credentials_of("stripe", secret, key, config) == expected


def test_what_is_a_secret_among_the_words_of_a_configuration_depends_on_the_provider() -> None:
    assert credentials_of("discord", config={"public_key": "p"}) == Credentials((b"p",))
    pair = {"public_key": "p", "private_key": "s"}
    assert credentials_of("braintree", config=pair) == credentials_of("braintree", pair)


@pytest.mark.parametrize(("secret", "key"), [(5, None), (["s", 5], None), (True, None), (None, 5), (None, ["k"])])
def test_what_has_no_shape_is_refused_without_a_word_of_it(secret: Any, key: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        credentials_of("stripe", secret, key)
