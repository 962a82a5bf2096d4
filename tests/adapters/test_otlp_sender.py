"""The way to the collector: retries, variables, proxies and certificates, at real sockets."""

import gzip
import shutil
import ssl
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.adapters.telemetry.otlp_sender import Sender, target_of_environment

BODY = b"spans" * 1000


@dataclass
class Told:
    """What the sender said."""

    words: list[str] = field(default_factory=list)

    def trouble(self, reason: str) -> None:
        self.words.append(reason)

    def fine(self) -> None:
        self.words.append("fine")


@dataclass
class Collector:
    """Answers in the order of a script, then always with 200; 0 closes the connection instead."""

    port: int = 0
    script: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def collecting(context: ssl.SSLContext | None = None) -> Iterator[Collector]:
    """Listen on a free port of the loopback address."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            collector.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.at.append(time.monotonic())
            collector.requests.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
            status, headers = collector.script.pop(0) if collector.script else (200, {})
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    collector.port = server.server_address[1]
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def sender(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Sender]]:
    """Make senders of the environment, which knows where the collector is."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    made = []

    def make(**variables: str) -> Sender:
        for name, value in variables.items():
            monkeypatch.setenv(name if name.endswith("_proxy") else f"OTEL_EXPORTER_OTLP_{name}", value)
        made.append(Sender(target_of_environment("opsconnect-test/1")))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_batches_go_over_one_connection(collector: Collector, sender: Callable[..., Sender]) -> None:
    one, told = sender(), Told()
    assert all(one.send(BODY, told) for _ in range(5))
    assert (collector.connections, told.words) == (1, ["fine"] * 5)
    path, headers, body = collector.requests[0]
    assert (path, body) == ("/v1/traces", BODY)
    assert (headers["content-type"], headers["user-agent"]) == ("application/x-protobuf", "opsconnect-test/1")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again_when_the_collector_says(
    collector: Collector, sender: Callable[..., Sender], status: int
) -> None:
    """By `Retry-After`, in seconds, where one's own pause would be some 1 s."""
    collector.script = [(status, {"retry-after": "0.1"}), (status, {"retry-after": "0"})]
    told = Told()
    assert sender().send(BODY, told)
    assert (len(collector.requests), told.words[2:]) == (3, ["fine"])
    assert 0.1 <= collector.at[1] - collector.at[0] < 0.6


def test_a_pause_of_one_s_own_has_jitter(collector: Collector, sender: Callable[..., Sender]) -> None:
    collector.script = [(503, {"retry-after": "soon"})]
    assert sender().send(BODY, Told())
    assert 0.8 <= collector.at[1] - collector.at[0] < 2.0


@pytest.mark.parametrize("after", ["3600", formatdate(time.time() + 3600, usegmt=True)], ids=["seconds", "a date"])
def test_a_pause_beyond_the_timeout_is_not_waited_for(
    collector: Collector, sender: Callable[..., Sender], after: str
) -> None:
    collector.script = [(503, {"retry-after": after})]
    told = Told()
    started = time.monotonic()
    assert not sender().send(BODY, told)
    assert time.monotonic() - started < 2
    assert told.words == ["Service Unavailable, until the timeout"]


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 500])
def test_what_will_not_pass_is_not_tried_again(
    collector: Collector, sender: Callable[..., Sender], status: int
) -> None:
    collector.script = [(status, {"location": "http://127.0.0.1/", "retry-after": "0"})]
    told = Told()
    one = sender()
    assert not one.send(BODY, told)
    assert one.send(BODY, told)
    assert (len(collector.requests), len(told.words), told.words[1]) == (2, 2, "fine")


def test_a_connection_that_was_let_go_is_made_anew_at_once(collector: Collector, sender: Callable[..., Sender]) -> None:
    """Collectors close idle connections; that is no trouble."""
    one, told = sender(), Told()
    assert one.send(BODY, told)
    collector.script = [(0, {})]
    assert one.send(BODY, told)
    assert (told.words, collector.connections) == (["fine", "fine"], 2)


def test_a_pause_ends_when_the_rest_is_given_up(collector: Collector, sender: Callable[..., Sender]) -> None:
    collector.script = [(503, {"retry-after": "9"})] * 9
    one = sender()
    threading.Timer(0.2, one.abort).start()
    started = time.monotonic()
    assert not one.send(BODY, Told())
    assert time.monotonic() - started < 5
    assert not one.send(BODY, Told())
    assert len(collector.requests) == 1


@pytest.mark.parametrize(("name", "read"), [("gzip", gzip.decompress), ("deflate", zlib.decompress), ("none", bytes)])
def test_compression(
    collector: Collector, sender: Callable[..., Sender], name: str, read: Callable[[bytes], bytes]
) -> None:
    assert sender(COMPRESSION="none", TRACES_COMPRESSION=name).send(BODY, Told())
    _, headers, body = collector.requests[0]
    assert headers.get("content-encoding", "none") == name
    assert read(body) == BODY


def test_variables_for_traces_have_precedence(collector: Collector, sender: Callable[..., Sender]) -> None:
    """The whole address, path and query included; headers as they are written in URLs."""
    url = collector.url.replace("http://", "http://us%40er:pass@")
    assert sender(ENDPOINT="http://127.0.0.1:1", TRACES_ENDPOINT=f"{url}/otlp/traces?x=1",
                  HEADERS="a=1", TRACES_HEADERS="api-key=s%20t,b=2").send(BODY, Told())  # fmt: skip
    path, headers, _ = collector.requests[0]
    assert path == "/otlp/traces?x=1"
    assert (headers["api-key"], headers["b"], headers.get("a")) == ("s t", "2", None)
    assert headers["authorization"] == "Basic dXNAZXI6cGFzcw=="


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "ftp://x", "http://", "http://x:port", "http://[::1"])
def test_an_address_that_is_none_is_told_of(sender: Callable[..., Sender], endpoint: str) -> None:
    told = Told()
    assert not sender(TRACES_ENDPOINT=endpoint).send(BODY, told)
    assert len(told.words) == 1


def test_a_proxy_of_the_environment_is_used(collector: Collector, sender: Callable[..., Sender]) -> None:
    """Hosted collectors are behind it in many houses; `no_proxy` has the last word."""
    proxy = collector.url.replace("http://", "http://me:word@")
    assert sender(TRACES_ENDPOINT="http://collector.example:4318/v1/traces", http_proxy=proxy).send(BODY, Told())
    path, headers, _ = collector.requests[0]
    assert path == "http://collector.example:4318/v1/traces"
    assert headers["host"] == "collector.example:4318"
    assert headers["proxy-authorization"] == "Basic bWU6d29yZA=="
    assert sender(TRACES_ENDPOINT=f"{collector.url}/direct", no_proxy="127.0.0.1").send(BODY, Told())
    assert collector.requests[1][0] == "/direct"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes certificates with the openssl command")
def test_certificates(tmp_path: Path, sender: Callable[..., Sender]) -> None:
    """The collector must prove itself; and so must we, where it asks."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x",
               "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    with collecting(context) as secure:
        told = Told()
        endpoint = f"https://127.0.0.1:{secure.port}/v1/traces"
        assert not sender(TRACES_ENDPOINT=endpoint, TIMEOUT="0.5").send(BODY, told)
        assert "SSLCertVerificationError" in told.words[0]
        assert sender(
            CERTIFICATE=str(certificate), CLIENT_CERTIFICATE=str(certificate), CLIENT_KEY=str(key), TIMEOUT="10"
        ).send(BODY, told)
        assert secure.requests[0][2] == BODY
