"""What a refusal keeps of a request, and what it shows of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.core.domain.credentials import MASK, chosen, masked_headers, masked_url
from app.core.domain.ids import is_id
from app.core.domain.refusal import NewRefusal, new_refusal

NOW = 1_795_000_000_123_456_789


def refused(**fields: Any) -> NewRefusal:
    values: dict[str, Any] = {
        "received_ns": NOW,
        "source": "demo",
        "provider": "hmac",
        "code": "signature_mismatch",
        "detail": "why",
        "method": "POST",
        "target": b"/api/v1/webhooks/demo",
        "client": "192.0.2.7",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "headers": [],
        "body": b"{}",
    }
    return new_refusal(**{**values, **fields})


def test_a_refusal_is_of_the_time_of_its_receipt() -> None:
    refusal = refused()
    assert is_id(refusal.id)
    assert abs(refusal.received_at - datetime.fromtimestamp(NOW // 1_000 / 1e6, UTC)) <= timedelta(microseconds=1)
    assert refusal.id[:13].replace("-", "") == f"{NOW // 1_000_000:012x}"


def test_credentials_are_left_out_but_for_those_that_verifying_needs() -> None:
    """A source whose sender shows a token could never release anything else."""
    headers = [
        (b"x-signature", b"00"),
        (b"authorization", b"Bearer canary"),
        (b"x-gitlab-token", b"canary"),
        (b"x-token-2", b"canary"),
        (b"x-signature", b"01"),
    ]
    assert refused(headers=headers).headers == (("x-signature", "00"), ("x-signature", "01"))
    assert refused(headers=headers).headers == chosen(headers)
    kept = refused(headers=headers, needed={"x-gitlab-token"}).headers
    assert kept == (("x-signature", "00"), ("x-gitlab-token", "canary"), ("x-signature", "01"))


def test_credentials_that_were_kept_are_masked_where_they_are_shown() -> None:
    headers = (("authorization", "Basic canary"), ("x-api-key", "canary"), ("x-signature", "00"))
    assert masked_headers(headers) == (("authorization", MASK), ("x-api-key", MASK), ("x-signature", "00"))
    assert masked_url("/a?x=1&Access_Token=canary&api-key=canary&y=2&z") == (
        f"/a?x=1&Access_Token={MASK}&api-key={MASK}&y=2&z"
    )
    assert masked_url("/token=a/secret") == "/token=a/secret"


def test_a_detail_is_one_line_whatever_a_sender_put_into_it() -> None:
    assert refused(detail="a\x00b\n\ud800").detail == "a\\x00b\\n\\xed\\xa0\\x80"


@given(target=st.binary(), headers=st.lists(st.tuples(st.binary(), st.binary())), detail=st.text())
def test_nothing_that_a_sender_writes_raises_or_cannot_be_kept(
    target: bytes, headers: list[tuple[bytes, bytes]], detail: str
) -> None:
    refusal = refused(target=target, headers=headers, detail=detail)
    assert b"\0" not in (refusal.url + refusal.detail).encode()
    assert refusal.weight >= len(refusal.url) + sum(len(name) + len(value) for name, value in refusal.headers)
