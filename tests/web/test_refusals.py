"""RELIABILITY by the letter: whatever two servers could read differently is refused, once, and the connection ends."""

import pytest

from tests.e2e.api import ADMIN_KEY, Api, until
from tests.web.wire import Wire, all_answers, chunked, field_of, post

LINE = "POST /api/v1/webhooks/open HTTP/1.1"
TE = "Transfer-Encoding: chunked"


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


REFUSED = {
    "no Host": (head(LINE, "Content-Length: 0"), 400, "host_not_once"),
    "two Hosts": (head(LINE, "Host: x", "host: x", "Content-Length: 0"), 400, "host_not_once"),
    "two Hosts in HTTP/1.0": (head("GET / HTTP/1.0", "Host: x", "Host: y"), 400, "host_not_once"),
    "a length and an encoding": (head(LINE, "Host: x", "Content-Length: 3", TE), 400, "ambiguous_length"),
    "an encoding and a length": (head(LINE, "Host: x", TE, "Content-Length: 3"), 400, "ambiguous_length"),
    "two lengths": (head(LINE, "Host: x", "Content-Length: 0", "Content-Length: 1"), 400, "ambiguous_length"),
    "the same length twice": (head(LINE, "Host: x", "Content-Length: 0", "content-length: 0"), 400, "ambiguous_length"),
    "a list of lengths": (head(LINE, "Host: x", "Content-Length: 0, 0"), 400, "ambiguous_length"),
    "a signed length": (head(LINE, "Host: x", "Content-Length: +2"), 400, "ambiguous_length"),
    "a negative length": (head(LINE, "Host: x", "Content-Length: -2"), 400, "ambiguous_length"),
    "a hexadecimal length": (head(LINE, "Host: x", "Content-Length: 0x2"), 400, "ambiguous_length"),
    "an empty length": (head(LINE, "Host: x", "Content-Length:"), 400, "ambiguous_length"),
    "a superscript length": (head(LINE, "Host: x", "Content-Length: \xb2"), 400, "ambiguous_length"),
    "an absurd length": (head(LINE, "Host: x", f"Content-Length: {10**30}"), 413, "content_too_large"),
    "two encodings": (head(LINE, "Host: x", TE, TE), 400, "ambiguous_length"),
    "an encoding in HTTP/1.0": (head("POST / HTTP/1.0", "Host: x", TE), 400, "ambiguous_length"),
    "an unknown encoding": (head(LINE, "Host: x", "Transfer-Encoding: gzip"), 501, "unknown_transfer_encoding"),
    "gzip, chunked": (head(LINE, "Host: x", "Transfer-Encoding: gzip, chunked"), 501, "unknown_transfer_encoding"),
    "xchunked": (head(LINE, "Host: x", "Transfer-Encoding: xchunked"), 501, "unknown_transfer_encoding"),
    "chunked twice": (head(LINE, "Host: x", "Transfer-Encoding: chunked, chunked"), 501, "unknown_transfer_encoding"),
    "LF only": (head(LINE, "Host: x", "Content-Length: 0").replace(b"\r", b""), 400, "malformed_request"),
    "one bare LF": (head(LINE, "Host: x\nX: y", "Content-Length: 0"), 400, "malformed_request"),
    "one bare CR": (head(LINE, "Host: x", "X: a\rb", "Content-Length: 0"), 400, "malformed_request"),
    "the last line ends in LF": (head(LINE, "Host: x")[:-2] + b"\n", 400, "malformed_request"),
    "obs-fold": (head(LINE, "Host: x", "X: a", " b", "Content-Length: 0"), 400, "malformed_request"),
    "obs-fold by a tab": (head(LINE, "Host: x", "X: a", "\tb", "Content-Length: 0"), 400, "malformed_request"),
    "a fold at first": (head(LINE, " Host: x", "Content-Length: 0"), 400, "malformed_request"),
    "NUL in a value": (head(LINE, "Host: x", "X: a\0b", "Content-Length: 0"), 400, "malformed_request"),
    "NUL in a name": (head(LINE, "Host: x", "X\0: a", "Content-Length: 0"), 400, "malformed_request"),
    "a control character": (head(LINE, "Host: x", "X: \x1b[2J", "Content-Length: 0"), 400, "malformed_request"),
    "a blank before the colon": (head(LINE, "Host: x", "Content-Length : 2"), 400, "malformed_request"),
    "no colon": (head(LINE, "Host: x", "nothing"), 400, "malformed_request"),
    "an empty name": (head(LINE, "Host: x", ": a"), 400, "malformed_request"),
    "HTTP/0.9": (head("GET /"), 400, "malformed_request"),
    "HTTP/0.9 by name": (head("GET / HTTP/0.9"), 505, "unsupported_version"),
    "HTTP/1.2": (head("GET / HTTP/1.2", "Host: x"), 505, "unsupported_version"),
    "HTTP/2 without a word": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "unsupported_version"),
    "HTTP/11": (head("GET / HTTP/11", "Host: x"), 505, "unsupported_version"),
    "another protocol": (head("GET / ICE/1.0", "Host: x"), 400, "malformed_request"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500, 400, "malformed_request"),
    "an absurd method": (head("ABSURD / HTTP/1.1", "Host: x"), 501, "unknown_method"),
    "a small method": (head("post / HTTP/1.1", "Host: x", "Content-Length: 0"), 501, "unknown_method"),
    "a method without an end": (b"A" * 5_000, 501, "unknown_method"),
    "CONNECT": (head("CONNECT x:443 HTTP/1.1", "Host: x:443"), 501, "unknown_method"),
    "two blanks": (head("GET  / HTTP/1.1", "Host: x"), 400, "malformed_request"),
    "a blank in the URL": (head("GET /a b HTTP/1.1", "Host: x"), 400, "malformed_request"),
    "é in the URL": (head("GET /é HTTP/1.1", "Host: x"), 400, "malformed_request"),
    "a URL of 1 MB": (b"GET /" + b"a" * 1_000_000, 414, "url_too_long"),
    "a URL of 8,193 bytes": (head("GET /" + "a" * 8_192 + " HTTP/1.1", "Host: x"), 414, "url_too_long"),
    "101 fields": (head(LINE, "Host: x", *(["X: y"] * 99), "Content-Length: 0"), 431, "headers_too_large"),
    "50,000 fields": (head(LINE, "Host: x", *(["a: b"] * 50_000)), 431, "headers_too_large"),
    "32 KB and one": (head(LINE, "Host: x", "X: " + "y" * 32_768), 431, "headers_too_large"),
    "1.5 MB": (head(LINE, "Host: x")[:-2] + b"X: " + b"y" * 1_500_000, 431, "headers_too_large"),
    "a bad chunk size": (head(LINE, "Host: x", TE) + b"g\r\n", 400, "malformed_request"),
    "a negative chunk": (head(LINE, "Host: x", TE) + b"-1\r\n", 400, "malformed_request"),
    "a chunk of 2^64": (head(LINE, "Host: x", TE) + b"10000000000000000\r\n", 400, "malformed_request"),
    "a chunk that ends in LF": (head(LINE, "Host: x", TE) + b"2\nab\r\n0\r\n\r\n", 400, "malformed_request"),
    "a chunk longer than it says": (head(LINE, "Host: x", TE) + b"2\r\nabc\r\n0\r\n\r\n", 400, "malformed_request"),
    "an endless extension": (head(LINE, "Host: x", TE) + b"2;" + b"x" * 5_000, 400, "malformed_request"),
    "endless trailers": (head(LINE, "Host: x", TE) + b"0\r\n" + b"a: b\r\n" * 20_000, 431, "headers_too_large"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_once_and_the_connection_ends(port: int, name: str) -> None:
    """A well-formed request right behind it gets no answer; nor does one in the place of its body."""
    request, status, code = REFUSED[name]
    with Wire(port) as wire:
        wire.send(request + post())
        answers = all_answers(wire.rest())
    assert [(answer.status, answer.code) for answer in answers] == [(status, code)]
    (answer,) = answers
    assert answer.closes
    assert answer.headers["content-type"] == "application/problem+json"
    assert field_of(answer, "status") == status


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_behind_a_good_request_too(port: int, name: str) -> None:
    """The good one is answered first, and as ever."""
    request, status, code = REFUSED[name]
    with Wire(port) as wire:
        wire.send(post() + request)
        first, second = all_answers(wire.rest())
    assert first.status in {200, 202}
    assert (second.status, second.code) == (status, code)


def test_it_is_refused_wherever_it_is_cut_in_two(port: int) -> None:
    """Whether the answer needs the second part or not, it is the same."""
    for name, (request, status, code) in REFUSED.items():
        if len(request) > 300:
            continue
        for cut in range(1, len(request), 7):
            with Wire(port) as wire:
                wire.send(request[:cut])
                wire.send(request[cut:] + post())
                assert [(answer.status, answer.code) for answer in all_answers(wire.rest())] == [(status, code)], (
                    name,
                    request[:cut],
                )


def test_what_is_just_within_the_bounds_is_taken(port: int) -> None:
    """Each bound is where it is said to be."""
    fields = [f"X-{number}: y" for number in range(97)]
    large = "X: " + "y" * (32_768 - len(post(b"{}", "X: ")) + 2)
    for request in (post(b"{}", *fields, "Content-Type: text/plain"), post(b"{}", large)):
        with Wire(port) as wire:
            wire.send(request)
            assert wire.answer().status in {200, 202}
    with Wire(port) as wire:
        wire.send(head("GET /" + "a" * 8_191 + " HTTP/1.1", "Host: x"))
        assert wire.answer().status == 401


def test_odd_but_right_requests_are_taken(port: int) -> None:
    """An empty line in front, tabs and blanks around values, the whole URL, leading zeros, trailers, extensions."""
    odd = {
        "an empty line": b"\r\n" + post(),
        "blanks": post(b"{}", "Content-Length: \t 2 \t", length=False),
        "no blank": post(b"{}", "content-length:2", length=False),
        "zeros": post(b"{}", "Content-Length: 0002", length=False),
        "the whole URL": post(path="http://x/api/v1/webhooks/open"),
        "Latin-1": post(b"{}", "X: é"),
        "chunks": post(b"", TE, length=False) + chunked(b"{", b"}"),
        "Chunked": post(b"", "transfer-encoding:  Chunked ", length=False) + chunked(b"{}"),
        "extensions": post(b"", TE, length=False) + b'2;a="b"\r\n{}\r\n0;c\r\n\r\n',
        "trailers": post(b"", TE, length=False) + b"2\r\n{}\r\n0\r\nX-Sum: 1\r\nTransfer-Encoding: x\r\n\r\n",
        "HTTP/1.0": post().replace(b"HTTP/1.1", b"HTTP/1.0"),
    }
    for name, request in odd.items():
        with Wire(port) as wire:
            wire.send(request)
            answer = wire.answer()
            assert answer.status in {200, 202}, (name, answer)
            if name != "HTTP/1.0":
                wire.send(request)
                assert wire.answer().status == 200, name


def test_trailers_are_no_headers(port: int) -> None:
    """A signature after the body would be one that nobody in between saw."""
    from tests.e2e.sender import SECRET, signed

    trailer = f"X-Signature: {signed(SECRET, b'{}')}\r\n".encode()
    with Wire(port) as wire:
        wire.send(post(b"", TE, path="/api/v1/webhooks/demo", length=False) + b"2\r\n{}\r\n0\r\n" + trailer + b"\r\n")
        assert wire.answer().code == "signature_missing"


def test_refusals_are_counted_and_logged_without_their_content(door: Api, port: int) -> None:
    """One line a second and code; the metric has them all."""
    name = 'opsconnect_refused_connections_total{code="malformed_request"}'

    def counted() -> float:
        lines = door.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    before = counted()
    for _ in range(10):
        with Wire(port) as wire:
            wire.send(head("GET /CANARY HTTP/1.1", "CANARY\0"))
            wire.rest()
    assert counted() == before + 10
    lines = until(lambda: door.lines("connection.refused"))
    assert {"code", "client", "connections"} <= set(lines[-1])
    log = door.log.read_text()
    assert "CANARY" not in log
    assert ADMIN_KEY not in log
