"""The port: our own, or a socket that a supervisor hands over."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.domain.errors import Invalid
from app.infra import server, serving
from app.settings import Settings, load

HandOver = Callable[..., None]


@pytest.fixture
def hand_over(monkeypatch: pytest.MonkeyPatch) -> HandOver:
    """Hand a descriptor over, as systemd does (but for its number, which is taken here)."""

    def give(descriptor: int, *, sockets: str = "1", process: int | None = None) -> None:
        monkeypatch.setattr(server, "HANDED_OVER", os.dup(descriptor))
        monkeypatch.setenv("LISTEN_FDS", sockets)
        monkeypatch.setenv("LISTEN_PID", str(process or os.getpid()))

    return give


def settings(**given: object) -> Settings:
    return load(_env_file=None, port=0, **given)


def test_a_socket_that_is_handed_over_is_the_port(hand_over: HandOver) -> None:
    """The settings tell where it really is; no child of ours inherits it by accident."""
    with socket.create_server(("127.0.0.2", 0)) as theirs:
        hand_over(theirs.fileno())
        known, listener = server.take_port(settings(host="127.0.0.1"))
        with listener:
            assert (known.host, known.port) == theirs.getsockname() == listener.getsockname()
            assert not listener.get_inheritable()


def test_a_socket_for_another_process_is_not_ours(hand_over: HandOver) -> None:
    """A variable that was inherited from somebody says nothing."""
    with socket.create_server(("127.0.0.2", 0)) as theirs:
        hand_over(theirs.fileno(), process=os.getpid() + 1)
        known, listener = server.take_port(settings(host="127.0.0.1"))
        with listener:
            assert known.host == "127.0.0.1"
            assert listener.getsockname()[0] == "127.0.0.1"


def test_only_one_tcp_socket_is_taken(hand_over: HandOver) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as good,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
        Path(os.devnull).open() as no_socket,
    ):
        for descriptor, sockets in ((good, "2"), (good, ""), (unix, "1"), (udp, "1"), (no_socket, "1")):
            hand_over(descriptor.fileno(), sockets=sockets)
            with pytest.raises(Invalid, match="LISTEN_FDS"):
                server.take_port(settings())


def test_a_socket_for_the_world_wants_a_key_whatever_the_settings_say(hand_over: HandOver) -> None:
    with socket.create_server(("0.0.0.0", 0)) as theirs:
        hand_over(theirs.fileno())
        known, listener = server.take_port(settings(host="127.0.0.1", environment="dev", admin_key=None))
        with listener, pytest.raises(Invalid, match="OPSCONNECT_ADMIN_KEY"):
            serving.refuse_unsafe(known)
