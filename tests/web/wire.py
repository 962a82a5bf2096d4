"""Plain sockets and a strict reader of answers: nothing here mends what a peer did wrong."""

import json
import re
import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

CLIENT_SECONDS = 15.0
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*")
_FIELD = re.compile(rb"([A-Za-z0-9-]+): ([\x20-\x7e]*)")


class IllFormed(Exception):
    """What came is no answer."""


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


def take_answer(data: bytes, *, to_head: bool = False) -> tuple[Answer, bytes] | None:
    """Split the first whole answer off; None while it is not whole. Raises `IllFormed`."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    first, *lines = head.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    fields = [_FIELD.fullmatch(line) for line in lines]
    if status is None or None in fields:
        raise IllFormed(data[:300])
    headers = {field[1].decode().lower(): field[2].decode() for field in fields if field}
    if status[1] == b"100":
        return Answer(100, headers, b""), rest
    if len(headers) != len(lines) or "content-length" not in headers:
        raise IllFormed(data[:300])
    length = 0 if to_head else int(headers["content-length"])
    if len(rest) < length:
        return None
    return Answer(int(status[1]), headers, rest[:length]), rest[length:]


def all_answers(data: bytes) -> list[Answer]:
    """Read everything that a connection gave. Raises `IllFormed` where something is left over."""
    found = []
    while data:
        taken = take_answer(data)
        if taken is None:
            raise IllFormed(data[:300])
        answer, data = taken
        found.append(answer)
    return found


class Wire:
    """One connection."""

    def __init__(self, port: int, *, source: str = "127.0.0.1", receive_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(CLIENT_SECONDS)
        self.socket.bind((source, 0))
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.socket.sendall(piece)

    def answer(self, *, to_head: bool = False) -> Answer:
        """Wait for the next answer."""
        while (taken := take_answer(self._unread, to_head=to_head)) is None:
            more = self.socket.recv(65_536)
            if not more:
                raise IllFormed(f"the end, after {self._unread[:300]!r}")
            self._unread += more
        answer, self._unread = taken
        return answer

    def rest(self) -> bytes:
        """Wait for the end; give what came until then."""
        while more := self._more():
            self._unread += more
        return self._unread

    def _more(self) -> bytes:
        try:
            return self.socket.recv(65_536)
        except ConnectionError:
            return b""


def post(
    body: bytes = b"{}", *fields: str, path: str = "/api/v1/webhooks/open", host: str = "Host: x", length: bool = True
) -> bytes:
    """A request as bytes."""
    lines = [f"POST {path} HTTP/1.1", host, *fields]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(*chunks: bytes) -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def keep_large(port: int) -> str:
    """Have a body kept that no socket buffer holds; give its event's id."""
    deadline = time.monotonic() + CLIENT_SECONDS
    while True:
        with Wire(port) as wire:
            wire.send(post(b"y" * 12_000_000, path="/api/v1/webhooks/large"))
            answer = wire.answer()
        if answer.status in {200, 202}:
            return answer.headers["x-event-id"]
        assert time.monotonic() < deadline, answer  # a busy machine may need more than the budget of one request


def field_of(answer: Answer, name: str) -> Any:
    """What stands in an answer's JSON."""
    return json.loads(answer.body)[name]
