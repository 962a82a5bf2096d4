"""Serving HTTP, and stopping without dropping anybody.

On SIGTERM or SIGINT the process first says, by `/health/ready`, that it is leaving, and serves on for the announced
time, so that load balancers turn away; then it stops listening, lets what is in flight end, and returns. A connection
that is kept alive gets one more answer, with `Connection: close`, unless nothing is asked on it for a second. A second
signal skips the announced time, a third one the rest.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn

from app.adapters.web.admission import Admission
from app.adapters.web.express import ExpressLane
from app.adapters.web.framing import Caps
from app.adapters.web.heads import HeadReader
from app.adapters.web.protocol import GuardedHttp
from app.adapters.web.watch import Limits, Refusals, Watch, networks
from app.core.domain.errors import Fault, Invalid
from app.settings import Settings

BACKLOG = 2048
ACCEPTED_IN_A_TURN = 16
"""libuv accepts one connection a turn of the loop and listening socket. Under load a turn takes milliseconds, and new
senders would wait for seconds; so the socket is listened on by several descriptors."""
HANDED_OVER = 3
"""The descriptor that sd_listen_fds(3) promises."""


def take_port(settings: Settings) -> tuple[Settings, socket.socket]:
    """Take the port that the settings name, unless systemd, or who does as it does, hands a listening socket over.

    Then several services, or an old and a new one, may accept from that one socket, and no connection is lost when one
    of them leaves. The settings come back with the address that it is bound to. Raises `Invalid`.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return settings, listen(settings)
    try:
        listener = socket.socket(fileno=HANDED_OVER)
    except OSError as error:
        raise Invalid([Fault("LISTEN_FDS", f"says that a socket was handed over: {error.strerror}")]) from None
    tcp = listener.family in {socket.AF_INET, socket.AF_INET6} and listener.type == socket.SOCK_STREAM
    if not tcp or os.environ.get("LISTEN_FDS") != "1":
        listener.close()
        raise Invalid([Fault("LISTEN_FDS", "must be 1, for one listening TCP socket")])
    listener.set_inheritable(False)
    host, port, *_ = listener.getsockname()
    return settings.model_copy(update={"host": host, "port": port}), listener


def listen(settings: Settings) -> socket.socket:
    """Take the port, so that a taken one is known before anything else is started. Raises `Invalid`."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        text = f"cannot be listened on: {error.strerror or error}. Choose another with --port"
        raise Invalid([Fault(where, text)]) from None
    return listener


def several_of(listener: socket.socket) -> list[socket.socket]:
    """Give a listening socket in several descriptors, so that several connections are accepted in a turn."""
    return [listener, *(listener.dup() for _ in range(ACCEPTED_IN_A_TURN - 1))]


def limits(settings: Settings) -> Limits:
    """Say how slow, large and many clients may be."""
    return Limits(
        caps=Caps(settings.header_block_bytes, settings.header_count, settings.url_bytes),
        silent_seconds=settings.silent_socket_seconds,
        header_seconds=settings.header_receive_seconds,
        body_seconds=settings.body_receive_seconds,
        body_bytes_per_second=settings.body_receive_bytes_per_second,
        idle_seconds=settings.keep_alive_seconds,
        answer_seconds=settings.answer_read_seconds,
        last_seconds=min(1.0, settings.drain_in_flight_seconds / 2),
        connections_per_address=settings.connections_per_address,
        trusted_proxies=networks(settings.trusted_proxies),
    )


class DrainingServer(uvicorn.Server):
    """uvicorn with an announced end, which returns instead of dying by the signal."""

    def __init__(
        self, app: Any, settings: Settings, refusals: Refusals, admission: Admission, express: ExpressLane | None = None
    ) -> None:
        self._watch = Watch(limits(settings), refusals, admission)
        protocol: Any = partial(GuardedHttp, self._watch, HeadReader(self._watch.limits.caps), express)
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=max(1, round(settings.drain_in_flight_seconds)),
            )
        )
        self._announce_seconds = settings.drain_announce_seconds
        self._announcing: asyncio.TimerHandle | None = None

    @property
    def draining(self) -> bool:
        """Tell whether the end has been announced."""
        return self._announcing is not None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals from the event loop; nothing is raised again at the end, so the exit code is ours."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._leave)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, answer what is under way or just coming, and close."""
        self._watch.end_soon(asyncio.get_running_loop().time())
        await super().shutdown(sockets)

    def _leave(self) -> None:
        if self._announcing is None:
            loop = asyncio.get_running_loop()
            self._announcing = loop.call_later(self._announce_seconds, self._stop_listening)
        elif not self.should_exit:
            self._stop_listening()
        else:
            self.force_exit = True

    def _stop_listening(self) -> None:
        self.should_exit = True
