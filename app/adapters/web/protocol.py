"""Deadlines and bounds before anything is parsed: uvicorn's HTTP protocol with a watch beside it.

uvicorn waits for the rest of a request for ever and buffers heads without end. Here a connection is in one phase at a
time, each with a deadline that the watch's sweep enforces:

    SILENT → HEAD → BODY → ANSWERING → IDLE → HEAD …    and LINGERING after a refusal, until the sender has seen it

The parser gets one request at a time, its head only when it is whole and has been looked at. What a client sends
beyond that (pipelining) waits, and reading pauses, until the answer is complete: so nothing that follows can come
before it or in its place, and after a refusal nothing follows at all.
"""

import asyncio
import contextlib
import math
from collections.abc import Iterable
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from app.adapters.web.answers import Answer, Header
from app.adapters.web.express import ExpressLane
from app.adapters.web.framing import (
    CHUNKED,
    Chunks,
    Misframed,
    check_beginning,
    without_upgrade,
)
from app.adapters.web.heads import Head, HeadReader
from app.adapters.web.problems import CONTENT_TYPE, body_of, retry_after
from app.adapters.web.watch import Watch
from app.core.catalog.proof import Headers

SILENT, IDLE, HEAD, BODY, ANSWERING, LINGERING, ENDED = range(7)

# A connection closed with unread data is reset, and its sender would never see why: so much more is read, so long.
LINGER_SECONDS = 2.0
LINGER_BYTES = 2_000_000
# The rate of a body is looked at only after this: senders pause between head and body.
RATE_GRACE_SECONDS = 2.0
CLOSE = b"connection: close\r\n"
_PROBLEM = (b"content-type", CONTENT_TYPE)


class GuardedHttp(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        watch: Watch,
        heads: HeadReader,
        express: ExpressLane | None,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._watch = watch
        self._admission = watch.admission
        self._heads = heads
        self._express = express
        """None: everything goes by the book."""
        self._limits = watch.limits
        self._caps = watch.limits.caps
        self._phase = ENDED
        self._deadline = math.inf
        self._since = 0.0
        """When the body began, for its rate."""
        self._looked_at = 0.0
        """When the sweep last came by."""
        self._received = 0
        self._pending = b""
        """What has arrived and is not the parser's yet."""
        self._looked = 0
        """So much of it was looked at while its head was incomplete."""
        self._left = 0
        self._weighed = False
        """The current request is a webhook by its path, and counts for admission."""
        self._held = 0
        """Bytes of its body that count."""
        self._whole = False
        """It came whole, and counts as one that waits."""
        self._head: Head | None = None
        """Of a request that comes in pieces, and goes the short way once it is whole; None: the parser gets it."""
        self._pieces: list[bytes] = []
        """What has come of that, its head first."""
        self._short = False
        """It went the short way."""
        self._chunks = Chunks()
        self._leaving = False
        """The next answer is the last: the process or the client has said so."""
        self._clogged_since = math.inf
        """Since when something of ours waits to be read by the client."""
        self._peer = ""
        self._proxied = False

    # What the transport tells

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, unless its address has too many."""
        super().connection_made(transport)
        self._peer = self.client[0] if self.client else ""
        if not self._watch.enter(self, self._peer, self.loop):
            self._peer = ""
            transport.abort()
            return
        self._phase = SILENT
        self._looked_at = self.loop.time()
        self._leaving = self._watch.leaving  # it was in the queue when the process stopped listening
        self._deadline = self._within(self._limits.silent_seconds)
        self._proxied = bool(self._limits.trusted_proxies) and self._watch.trusts(self._peer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._leave_the_short_way()
        if not self._short:  # what went that way is answered yet, if to nobody
            self._release()
        self._phase = ENDED
        self._pending = b""
        self._watch.leave(self, self._peer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand on what belongs to the current request; keep the rest until its turn."""
        if self._phase <= IDLE and self._take_at_once(data):
            return
        if self._phase >= LINGERING:
            self._received += len(data)
            if self._received > LINGER_BYTES:
                self._end()
            return
        self._pending = self._pending + data if self._pending else data
        if self._phase == ANSWERING:
            self.flow.pause_reading()
            return
        try:
            self._advance()
        except Misframed as fault:
            self._refuse(str(fault))
        except httptools.HttpParserError:
            # The second opinion: what got by the looks above and still is no request to the parser.
            self._refuse("malformed_request")

    def _take_at_once(self, data: bytes) -> bool:
        """Take what nearly everything is: one whole webhook, nothing else. False: it is not, and nothing was done."""
        end = data.find(b"\r\n\r\n") + 4
        express = self._express
        if end < 4 or express is None or self.flow.write_paused:
            return False
        try:
            head = self._heads.read(data[:end])
        except Misframed:
            return False
        size = len(data) - end
        admission = self._admission
        if (
            not head.usual
            or head.length != size
            or admission.requests >= admission.most_requests
            or admission.bytes + size > admission.most_bytes
        ):
            return False
        admission.requests += 1
        admission.bytes += size
        self._weighed = self._whole = self._short = True
        self._held = size
        self._phase, self._deadline = ANSWERING, math.inf
        self._leaving = self._leaving or head.last
        express.take(self, head, data, end, self.loop)
        return True

    def _advance(self) -> None:
        if self._phase != BODY and not self._take_head():
            return
        if self._left == CHUNKED:
            self._take_chunks()
        else:
            self._take_body()

    def _take_head(self) -> bool:
        """Begin a request once its head is whole; tell whether it is."""
        data = self._pending
        start = 0
        if data[:1] == b"\r":  # one empty line before the request, from senders of old, is overlooked
            start = 2
            if data[1:2] not in {b"\n", b""}:
                raise Misframed("malformed_request")
        end = data.find(b"\r\n\r\n", self._looked or start) + 4
        if end < 4:
            if self._phase != HEAD:
                self._phase = HEAD
                self._deadline = self._within(self._limits.header_seconds)
            if len(data) > start:
                check_beginning(data[start:], max(0, self._looked - start), self._caps)
                self._looked = max(start, len(data) - 3)
            return False
        return self._begin(data, data[start:end], end)

    def _begin(self, data: bytes, text: bytes, end: int) -> bool:
        """Begin a request with this head, which ends here; tell whether its body is to be taken piece by piece."""
        head = self._heads.read(text)
        self._left = head.length
        self._looked = 0
        self._received = 0
        self._weighed = head.first.webhook
        whole = end + self._left == len(data)
        if self._weighed and self._admission.full:
            self._turn_away(whole=whole)
            return False
        if self._left == CHUNKED:
            self._chunks = Chunks()
        if self._express is not None and self._express.fits(head) and not self.flow.write_paused:
            self._head, self._pieces = head, [text]
        elif head.upgrade:
            text = without_upgrade(text)
        elif whole:
            if self._weigh(self._left):
                self._pending = b""
                self._left = 0
                self._complete()
                self.parser.feed_data(data)
            return False
        self._pending = data[end:]
        self._phase = BODY
        self._since = self.loop.time()
        self._deadline = self._within(self._limits.body_seconds)
        if self._head is None:
            self.parser.feed_data(text)
        return True

    def _take_body(self) -> None:
        data = self._pending
        piece = data if len(data) <= self._left else data[: self._left]
        self._pending = data[len(piece) :]
        self._left -= len(piece)
        self._received += len(piece)
        if not self._weigh(len(piece)):
            return
        if not self._left:
            self._complete()
        if self._head is not None:
            self._pieces.append(piece)
            if not self._left:
                self._take_pieces(self._head)
        elif piece:
            self.parser.feed_data(piece)

    def _take_pieces(self, head: Head) -> None:
        pieces, self._head, self._pieces = self._pieces, None, []
        if self._express is not None:
            self._short = True
            self._leaving = self._leaving or head.last
            took_ns = int((self.loop.time() - self._since) * 1e9)
            self._express.take(self, head, b"".join(pieces), len(pieces[0]), self.loop, took_ns)

    def _leave_the_short_way(self) -> None:
        """Let the parser have the pieces after all: whatever becomes of half a request, the app tells of it."""
        if self._head is not None:
            pieces, self._head, self._pieces = self._pieces, None, []
            with contextlib.suppress(httptools.HttpParserError):
                self.parser.feed_data(b"".join(pieces))

    def _take_chunks(self) -> None:
        data = self._pending
        chunks, understood, ended = self._chunks.follow(data, self._caps)
        self._pending = data[understood:]
        self._received += understood
        if not self._weigh(chunks):
            return
        if ended:
            self._complete()
        if chunks:
            self.parser.feed_data(data[:chunks])
        if ended:
            self.parser.feed_data(b"\r\n")

    def _complete(self) -> None:
        """Everything of this request is there; the next one waits."""
        self._phase, self._deadline = ANSWERING, math.inf
        if self._weighed:
            self._whole = True
            self._admission.requests += 1
        if self._pending:
            self.flow.pause_reading()

    # What the parser and the answer tell

    def on_headers_complete(self) -> None:
        """Begin the answer."""
        if self._proxied:
            self.scope["client"] = (self._watch.forwarded(self._peer, self.headers), 0)
        super().on_headers_complete()
        if self._leaving:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        """Go on with what has arrived meanwhile; close where the request itself is not complete."""
        self.server_state.total_requests += 1
        self._release()
        if self.transport.is_closing():
            return
        if self._phase != ANSWERING:
            # The rest may or may not come (after Expect it may not): what follows could be read in two ways.
            self._linger()
            return
        self._phase = IDLE
        self._deadline = self._within(self._limits.idle_seconds)
        self.flow.resume_reading()
        if self._pending:
            rest, self._pending = self._pending, b""
            self.data_received(rest)

    # Admission

    def _weigh(self, size: int) -> bool:
        """Count bytes of a body that have come; False where they are too many, and the request was turned away."""
        if self._weighed:
            self._held += size
            self._admission.bytes += size
            if self._admission.bytes > self._admission.most_bytes:
                self._turn_away(whole=False)
                return False
        return True

    def _release(self) -> None:
        """Count the current request no longer."""
        if self._weighed:
            admission = self._admission
            admission.bytes -= self._held
            admission.requests -= self._whole
            self._weighed = self._whole = False
            self._held = 0

    def _turn_away(self, *, whole: bool) -> None:
        """Say that there is too much in hand. Who sent a whole request may go on; the rest of another is not wanted."""
        if not whole:
            self._refuse("overloaded")
            return
        self._watch.refusals.note("overloaded", self._peer, self.loop.time())
        status, body = body_of("overloaded")
        self._pending = b""
        self._phase = ANSWERING
        self._write(status, (_PROBLEM, (b"retry-after", retry_after())), body, CLOSE if self._leaving else b"")
        if self._leaving:
            self._end()
        self.on_response_complete()

    # The short way

    def by_the_book(self, data: bytes) -> None:
        """Take a request that was passed on the long way after all."""
        self._short = False
        if self.transport.is_closing():
            self._release()
        else:
            self.parser.feed_data(data)

    def client_of(self, headers: Headers) -> str:
        """Give the address of who sent a request: this peer, or the client of a proxy that is trusted."""
        return self._watch.forwarded(self._peer, headers) if self._proxied else self._peer

    def answer(self, answer: Answer, trace_id: str) -> None:
        """Write the one answer of a request that never met the parser."""
        self._short = False
        if not self.transport.is_closing():
            status, headers, body = answer
            more = b"x-trace-id: %b\r\n" % trace_id.encode()
            self._write(status, headers, body, more + CLOSE if self._leaving else more)
            if self._leaving:
                self._end()
        self.on_response_complete()

    # The ends

    def _within(self, seconds: float) -> float:
        """Say when a time is up: never after the last moment of a process that is to end."""
        until = self.loop.time() + seconds
        return min(until, self._watch.last_moment) if self._leaving else until

    def look(self, now: float) -> None:
        """End the connection if its time is up; called by the sweep."""
        if self._phase == BODY and self.flow.read_paused:
            # We do not read, so it is not the sender who is slow.
            self._since += now - self._looked_at
            self._deadline += now - self._looked_at
        self._looked_at = now
        if now >= self._deadline:
            self._expire()
        elif self._phase == BODY:
            seconds = now - self._since - RATE_GRACE_SECONDS
            if self._received < seconds * self._limits.body_bytes_per_second:
                self._refuse("body_too_slow")
        if not self.transport.get_write_buffer_size():
            self._clogged_since = math.inf
        elif self._clogged_since == math.inf:
            self._clogged_since = now
        elif now - self._clogged_since >= self._limits.answer_seconds:
            self._watch.refusals.note("answer_not_read", self._peer, now)
            self.transport.abort()

    def _expire(self) -> None:
        if self._phase == HEAD:
            self._refuse("unavailable" if self._leaving else "header_too_slow")
        elif self._phase == BODY:
            self._refuse("unavailable" if self._leaving else "body_too_slow")
        elif self._phase == LINGERING:
            self._end()
        else:
            if self._phase == SILENT and not self._leaving:
                self._watch.refusals.note("silent", self._peer, self.loop.time())
            self.transport.close()

    def _refuse(self, code: str) -> None:
        """Answer once, unless an answer has begun, and never read a request again."""
        self._leave_the_short_way()
        self._watch.refusals.note(code, self._peer, self.loop.time())
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            # To the app the sender is gone: what it still says goes nowhere.
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self._phase = ENDED
                self.transport.close()
                return
        self._release()
        status, body = body_of(code)
        headers = [_PROBLEM]
        if status == 503:
            headers.append((b"retry-after", retry_after()))
        self._write(status, headers, body, CLOSE)
        self._linger()

    def _write(self, status: int, headers: Iterable[Header], body: bytes, more: bytes) -> None:
        default = self._watch.default_lines(self.server_state.default_headers)
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        self.transport.write(
            b"%b%b%bcontent-length: %d\r\n%b\r\n%b" % (STATUS_LINE[status], default, lines, len(body), more, body)
        )

    def _linger(self) -> None:
        """Say that nothing more will come, and read on for a moment, so that the sender sees what did come."""
        self._phase = LINGERING
        self._deadline = self.loop.time() + LINGER_SECONDS
        self._pending, self._received = b"", 0
        self.flow.resume_reading()
        if self._leaving:
            self.transport.close()
        else:
            self.transport.write_eof()

    def _end(self) -> None:
        self._phase, self._deadline = ENDED, math.inf
        self.transport.close()

    def shutdown(self) -> None:
        """Drain: at most one more answer, to a request that may be on its way; see `Watch.end_soon`."""
        self._leaving = True
        if self._phase >= LINGERING:
            self.transport.close()
        elif self._phase != ANSWERING:
            self._deadline = min(self._deadline, self._watch.last_moment)
        # None, where all went the short way; what is on it now looks at `_leaving` itself.
        if self._phase in {ANSWERING, BODY} and self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False  # and the answer says so; where it has begun, the next one will
