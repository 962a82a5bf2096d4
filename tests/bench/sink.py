"""Where spans go: a process that keeps each export as it came and counts the spans when it is asked to.

Each sender has a path of its own. python -m tests.bench.sink PORT
"""

import gzip
import subprocess
import sys
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.api import free_port, until

Export = tuple[bytes, bool]
"""A body, and whether it is zipped."""


class Handler(BaseHTTPRequestHandler):
    """POST keeps, GET counts."""

    protocol_version = "HTTP/1.1"
    kept: defaultdict[str, list[Export]] = defaultdict(list)  # noqa: RUF012 - of the server, not of a connection
    spans: defaultdict[str, int] = defaultdict(int)  # noqa: RUF012

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.kept[self._sender].append((body, self.headers.get("content-encoding") == "gzip"))
        self._answer(b"")

    def do_GET(self) -> None:
        kept = self.kept[self._sender]
        while kept:
            body, zipped = kept.pop()
            self.spans[self._sender] += _spans(gzip.decompress(body) if zipped else body)
        self._answer(str(self.spans[self._sender]).encode())

    @property
    def _sender(self) -> str:
        return self.path.split("/")[1]

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def _spans(body: bytes) -> int:
    groups = ExportTraceServiceRequest.FromString(body).resource_spans
    return sum(len(scope.spans) for group in groups for scope in group.scope_spans)


class Sink:
    """The process, from outside."""

    def __init__(self) -> None:
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen([sys.executable, "-m", "tests.bench.sink", str(port)])
        self.pid = self._process.pid
        until(self._answers, what="the sink")

    def _answers(self) -> bool:
        try:
            return self.spans("nobody") == 0
        except httpx.TransportError:
            return False

    def endpoint(self, sender: str) -> str:
        """Give the value of OTEL_EXPORTER_OTLP_ENDPOINT for a sender, whose name is a word."""
        return f"{self._url}/{sender}"

    def spans(self, sender: str) -> int:
        """Count all that came from a sender so far; takes a moment."""
        return int(httpx.get(f"{self._url}/{sender}", timeout=60).text)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
