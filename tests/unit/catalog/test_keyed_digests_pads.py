"""The digest that was begun beforehand is the one of the standard library."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.catalog.keyed_digests import digesting
from app.core.catalog.proof import SignedRequest
from app.core.catalog.provider import Digest, Mac

BY_BODY, BY_PIECES = "{body}", "v0:{body}"


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
@given(key=st.binary(max_size=300), body=st.binary(max_size=300))
def test_it_is_hmac_for_keys_of_any_length(digest: Digest, key: bytes, body: bytes) -> None:
    request = SignedRequest("POST", "", (), body)
    for template, signed in ((BY_BODY, body), (BY_PIECES, b"v0:" + body)):
        digest_of = digesting(Mac(("x",), digest=digest, template=template), key)
        for _ in range(2):  # what was begun is not used up
            assert digest_of(request, b"") == hmac.digest(key, signed, digest)
