"""Heads are read the quick way exactly as by the letter, whatever was read before them."""

import random
import re

import pytest

from app.adapters.web.framing import CHUNKED, Caps, Misframed, check_head
from app.adapters.web.heads import LONGEST_REMEMBERED, MOST_REMEMBERED, Head, HeadReader
from app.core.catalog.proof import Named
from tests.web.test_mutations import WHOLE, mutated

HEADS = [data[: data.index(b"\r\n\r\n") + 4] for data in WHOLE]


def head_of(*lines: str, first: str = "POST /api/v1/webhooks/demo HTTP/1.1") -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1")


def by_the_letter(head: bytes, caps: Caps) -> tuple[int, bool] | str:
    try:
        return check_head(head, caps)
    except Misframed as fault:
        return str(fault)


def read(reader: HeadReader, head: bytes) -> tuple[int, bool] | str:
    try:
        found = reader.read(head)
    except Misframed as fault:
        return str(fault)
    return found.length, found.upgrade


@pytest.mark.parametrize("caps", [Caps(), Caps(head_bytes=200, header_count=4, url_bytes=40)])
def test_ten_thousand_broken_heads_are_read_as_by_the_letter_each_time(caps: Caps) -> None:
    rng, reader = random.Random(7), HeadReader(caps)
    seen = set()
    for _ in range(10_000):
        data = mutated(rng)
        if (end := data.find(b"\r\n\r\n") + 4) < 4:
            continue
        expected = by_the_letter(data[:end], caps)
        for _ in range(3):  # the second time a line is remembered, the third time it is known
            assert read(reader, data[:end]) == expected, data[:end]
        seen.add(expected)
    assert len(seen) > 8


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        (["Host: x", "Content-Length: 7"], 7),
        (["Host: x", "Content-Length: 0000000000000000007"], "content_too_large"),
        (["Host: x", "Content-Length: 007"], 7),
        (["Host: x", "Content-Length: +7"], "ambiguous_length"),
        (["Host: x", "Content-Length: 7", "content-length: 7"], "ambiguous_length"),
        (["Host: x", "Host: x", "Content-Length: 7"], "host_not_once"),
        (["Content-Length: 7"], "host_not_once"),
        (["Host: x", "Content-Length: 7", "Transfer-Encoding: chunked"], "ambiguous_length"),
        (["Host: x", "Transfer-Encoding: chunked"], CHUNKED),
        (["Host: x", "Content-Length : 7"], "malformed_request"),
        (["Host: x", "Content-Length: 7", " folded"], "malformed_request"),
        (["Host: x\n", "Content-Length: 7"], "malformed_request"),
        (["Host: x\r", "Content-Length: 7"], "malformed_request"),
        (["Host: x", "Content-Length: 7", "A: \0"], "malformed_request"),
        (["Host: x", "Content-Length: 7", "A\xe9: b"], "malformed_request"),
        (["Host: x"], 0),
    ],
)
def test_where_the_body_ends_is_never_read_in_two_ways(lines: list[str], length: int | str) -> None:
    reader = HeadReader(Caps())
    for _ in range(3):
        found = read(reader, head_of(*lines))
        assert (found if isinstance(found, str) else found[0]) == length


def test_a_known_line_of_another_request_makes_no_difference_to_the_rest() -> None:
    reader = HeadReader(Caps())
    for _ in range(3):
        reader.read(head_of("Host: x", "Content-Length: 7", "Content-Type: text/plain"))
    assert read(reader, head_of("Host: x", "Content-Length: 8", "Content-Length: 7")) == "ambiguous_length"
    assert read(reader, head_of("Content-Type: text/plain", "Content-Length: 7")) == "host_not_once"


def test_names_come_in_lower_case_and_values_without_blanks() -> None:
    reader = HeadReader(Caps())
    for _ in range(3):
        head = reader.read(head_of("HOST: x", "Content-Length:2", "X-Odd: \t a b\t ", "X-Latin: \xe9", "X-Empty:"))
        assert head.headers == [
            (b"host", b"x"),
            (b"content-length", b"2"),
            (b"x-odd", b"a b"),
            (b"x-latin", b"\xe9"),
            (b"x-empty", b""),
        ]
        assert isinstance(head.headers, Named)
        assert head.headers.by_name[b"x-odd"] == b"a b"


def test_names_that_stand_twice_are_not_had_by_name() -> None:
    head = HeadReader(Caps()).read(head_of("Host: x", "Content-Length: 2", "A: 1", "A: 2"))
    assert not isinstance(head.headers, Named)
    assert [value for name, value in head.headers if name == b"a"] == [b"1", b"2"]


@pytest.mark.parametrize(
    ("first", "source", "webhook"),
    [
        ("POST /api/v1/webhooks/demo HTTP/1.1", "demo", True),
        ("POST /api/v1/webhooks/demo?a=b HTTP/1.1", "demo?a=b", True),
        ("PUT /api/v1/webhooks/demo HTTP/1.1", None, True),
        ("POST /api/v1/webhook HTTP/1.1", None, True),
        ("POST /api/v1/webhooks/demo HTTP/1.0", None, True),
        ("GET /api/v1/health HTTP/1.1", None, False),
    ],
)
def test_what_is_asked_for_is_told_apart(first: str, source: str | None, webhook: bool) -> None:
    reader = HeadReader(Caps())
    for _ in range(3):
        head: Head = reader.read(head_of("Host: x", "Content-Length: 2", first=first))
        assert (head.first.source, head.first.webhook) == (source, webhook)


def test_strangers_cannot_fill_the_memory() -> None:
    reader = HeadReader(Caps())
    for place in range(3 * MOST_REMEMBERED):
        for _ in range(2):
            reader.read(
                head_of("Host: x", "Content-Length: 2", f"X-{place}: {place}", f"Y: {'y' * LONGEST_REMEMBERED}")
            )
    held = [*reader._fields.known, *reader._fields._once, *reader._first.known, *reader._first._once]
    assert len(held) <= 4 * MOST_REMEMBERED
    assert max(map(len, held)) <= LONGEST_REMEMBERED
    assert not any(re.match(rb"Y:", line) for line in held)
