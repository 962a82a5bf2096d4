"""Bytes to a collector by OTLP/HTTP, as the `OTEL_EXPORTER_OTLP_*` variables and the specification say.

One connection is kept alive; all of this runs on the thread that sends. A batch is tried again after 429, 502, 503, 504
and whatever happens to a connection, with pauses of 1, 2, 4 … s (± 20 %) or what `Retry-After` asks for, until the
timeout of the batch would be exceeded: as the SDK's exporter does it. Waiting records are the recorder's business.
"""

import base64
import gzip
import http.client
import math
import os
import random
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from opentelemetry.util.re import parse_env_headers

_TRY_AGAIN = frozenset({429, 502, 503, 504})
_MOST_TRIES = 6
_JITTER = 0.2
_FASTEST = 1
"""Spans are so alike that the fastest compression already makes a tenth of them."""
_COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda body: gzip.compress(body, _FASTEST, mtime=0),
    "deflate": lambda body: zlib.compress(body, _FASTEST),
}


class Complaints(Protocol):
    """Who is told how it goes."""

    def trouble(self, reason: str) -> None:
        """Hear that something does not get through, and why."""

    def fine(self) -> None:
        """Hear that something got through."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send to, and how."""

    endpoint: str
    headers: dict[str, str] = field(default_factory=dict)
    timeout_seconds: float = 10.0
    compression: str = "none"
    authority_file: str | None = None
    client_certificate_file: str | None = None
    client_key_file: str | None = None


def target_of_environment(agent: str) -> Target:
    """Read the variables for traces, or those for all signals; `agent` says who we are."""
    base = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or "http://localhost:4318"
    headers = {"content-type": "application/x-protobuf", "user-agent": agent}
    headers |= parse_env_headers(_variable("HEADERS"), liberal=True)
    compression = _variable("COMPRESSION").strip().lower()
    if compression in _COMPRESSIONS:
        headers.setdefault("content-encoding", compression)
    try:
        timeout = float(_variable("TIMEOUT") or 10)
    except ValueError:
        timeout = 10.0
    return Target(
        endpoint=os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or f"{base.removesuffix('/')}/v1/traces",
        headers=headers,
        timeout_seconds=timeout,
        compression=compression,
        authority_file=_variable("CERTIFICATE") or None,
        client_certificate_file=_variable("CLIENT_CERTIFICATE") or None,
        client_key_file=_variable("CLIENT_KEY") or None,
    )


class Sender:
    """A kept connection to a collector; for one thread, but for `abort`."""

    def __init__(self, target: Target) -> None:
        """Nothing connects, and nothing is looked at, before the first batch."""
        self._target = target
        self._compress = _COMPRESSIONS.get(target.compression)
        self._given_up = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._path = ""
        self._headers = dict(target.headers)

    def send(self, body: bytes, complaints: Complaints) -> bool:
        """Send a batch, for at most its timeout; tell of every failure. False where it did not arrive."""
        until = time.monotonic() + self._target.timeout_seconds
        if self._compress is not None:
            body = self._compress(body)
        for tries in range(_MOST_TRIES):
            if self._given_up.is_set():
                return False
            pause = 2**tries * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 (not a secret)
            try:
                answer = self._post(body, until)
            except (OSError, http.client.HTTPException) as error:
                again, reason = True, type(error).__name__
            except ValueError as error:  # an endpoint or a header that is none
                again, reason = False, type(error).__name__
            else:
                if 200 <= answer.status < 300:
                    complaints.fine()
                    return True
                again, reason = answer.status in _TRY_AGAIN, answer.reason or str(answer.status)
                asked = _seconds(answer.getheader("retry-after")) if again else None
                pause = pause if asked is None else asked
            last = tries == _MOST_TRIES - 1 or time.monotonic() + pause > until
            complaints.trouble(f"{reason}, until the timeout" if again and last else reason)
            if not again or last or self._given_up.wait(pause):
                return False
        return False

    def abort(self) -> None:
        """End pauses, and try nothing again; from any thread."""
        self._given_up.set()

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, body: bytes, until: float) -> http.client.HTTPResponse:
        try:
            return self._post_once(body, until)
        except (OSError, http.client.HTTPException):
            if time.monotonic() >= until or self._given_up.is_set():
                raise
            return self._post_once(body, until)  # mostly, the other side had let go of a connection that was idle

    def _post_once(self, body: bytes, until: float) -> http.client.HTTPResponse:
        connection = self._connection or self._open()
        connection.timeout = max(until - time.monotonic(), 0.001)
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        try:
            connection.request("POST", self._path, body, self._headers)
            answer = connection.getresponse()
            answer.read()
        except BaseException:
            self.close()
            raise
        self._connection = None if answer.will_close else connection
        return answer

    def _open(self) -> http.client.HTTPConnection:
        """Prepare a connection, through a proxy where the environment names one."""
        parts = urlsplit(self._target.endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("no address of HTTP")
        self._path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        if parts.username is not None:
            self._headers.setdefault("authorization", _basic(parts))
        proxy = None if proxy_bypass(parts.netloc.rpartition("@")[2]) else getproxies().get(parts.scheme)
        through = urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else parts
        host, port = through.hostname or "", through.port
        if parts.scheme == "https":
            secure = http.client.HTTPSConnection(host, port or (443 if through is parts else 80), context=self._tls())
            if through is not parts:
                secure.set_tunnel(parts.hostname, parts.port or 443, _proxy_headers(through))
            return secure
        if through is not parts:
            self._path = f"http://{parts.netloc.rpartition('@')[2]}{self._path}"
            self._headers |= _proxy_headers(through)
        return http.client.HTTPConnection(host, port or 80)

    def _tls(self) -> ssl.SSLContext:
        target = self._target
        context = ssl.create_default_context(cafile=target.authority_file)
        if target.authority_file is None:
            with suppress(ImportError):  # the authorities that the SDK's exporter trusts, for images without any
                import certifi

                context.load_verify_locations(certifi.where())
        if target.client_certificate_file:
            context.load_cert_chain(target.client_certificate_file, target.client_key_file)
        return context


def _variable(name: str) -> str:
    return os.environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") or ""


def _basic(parts: SplitResult) -> str:
    user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(user.encode()).decode()


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    return {"proxy-authorization": _basic(proxy)} if proxy.username is not None else {}


def _seconds(retry_after: str | None) -> float | None:
    """Read a `Retry-After` header: seconds, or a date."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
