"""The folder in which the embedded servers live: who owns it now, its passwords, its ports.

    .gitignore           "*": nothing in here belongs into a repository
    owner.lock           held with flock by the one owner; the kernel frees it however the owner ends
    servers.json         the run file: how to reach the servers, for other commands; there while they run
    passwords/ ports/    one small file each; passwords are made once
    postgres/            the cluster (`postgres.new-…` while it is being made)
    redis/ log/

The lock is the only truth about "is somebody there": files of a killed owner say nothing, a process number
may have been given away. Everything here is readable by its owner only.
"""

import contextlib
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from app.infra.embedded.errors import EmbeddedError, could_not_use

_LOCK = "owner.lock"
_RUN_FILE = "servers.json"
# A user may put secrets in before the first start; anything else says that this is some other folder.
_NOT_FOREIGN = frozenset({_LOCK, ".gitignore", "secrets"})
# Long enough for somebody who only looks whether the lock is held (`read_run_file`) to let go of it again.
_LOCK_PATIENCE_SECONDS = 0.3
# Below the range that Linux and macOS hand out to outgoing connections. Within it, a client that tries again
# and again while the server is down may get the server's port as its own, connect to itself, and keep the
# server out for good.
_PORTS = range(20_000, 32_000)
_LOG_LIMIT_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerLog:
    """A server's log, open for it to write, and where in it this start began."""

    path: Path
    file: IO[str]
    began: int

    def said(self) -> str:
        """What the server wrote since this start began."""
        return self.path.read_bytes()[self.began :].decode(errors="replace")


class DataFolder:
    """The data folder, as its one owner sees it. Made by `claim`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cluster = path / "postgres"

    def owner(self) -> tuple[int, int]:
        """User and group that the folder belongs to; what is made in here is given to them."""
        state = self.path.stat()
        return state.st_uid, state.st_gid

    def hand_over(self, uid: int, gid: int) -> None:
        """Give the folder and all that is in it to another user (root only). No parent is ever touched."""
        for place, _, names in os.walk(self.path):
            os.chown(place, uid, gid, follow_symlinks=False)
            for name in names:
                os.chown(Path(place, name), uid, gid, follow_symlinks=False)

    def folder(self, name: str) -> Path:
        """A folder in here by this name, made when it is not there."""
        place = self.path / name
        if not place.is_dir():
            place.mkdir(mode=0o700)
            self.give(place)
        return place

    def give(self, place: Path) -> None:
        """Let what we made belong to the folder's owner, who may be another user when we are root."""
        if os.geteuid() == 0:
            os.chown(place, *self.owner(), follow_symlinks=False)

    def has_password(self, name: str) -> bool:
        """Whether this password was made before."""
        return self.password_file(name).exists()

    def password_file(self, name: str) -> Path:
        """Where a password is kept, mode 0600."""
        return self.folder("passwords") / name

    def password(self, name: str) -> str:
        """The password by this name: random, URL-safe, made once, on disk before it is used."""
        place = self.password_file(name)
        with contextlib.suppress(FileNotFoundError):
            return place.read_text()
        value = secrets.token_urlsafe(24)
        self._write(place, value)
        return value

    def port(self, name: str, *, insist: int | None = None) -> int:
        """The remembered port of this server when it is free, else a new random one, which is remembered.

        With `insist` it is this port and no other. Raises `EmbeddedError` when there is none to be had.
        """
        if insist is not None:
            if is_free(insist):
                return insist
            raise EmbeddedError(f"port {insist} of 127.0.0.1, where {name} was, belongs to another process now")
        if (remembered := self.remembered_port(name)) is not None and is_free(remembered):
            return remembered
        for _ in range(1000):
            if is_free(port := secrets.choice(_PORTS)):
                self._write(self.folder("ports") / name, str(port))
                return port
        raise EmbeddedError(f"no free port between {_PORTS[0]} and {_PORTS[-1]} on 127.0.0.1")

    def remembered_port(self, name: str) -> int | None:
        """The port where this server was last; None when there was no last time."""
        try:
            return int((self.folder("ports") / name).read_text())
        except (FileNotFoundError, ValueError):
            return None

    @contextlib.contextmanager
    def log(self, name: str) -> Iterator[ServerLog]:
        """Where a server's output goes; an old log is put aside here when it has grown beyond 10 MB."""
        place = self.folder("log") / f"{name}.log"
        if place.exists() and place.stat().st_size > _LOG_LIMIT_BYTES:
            place.replace(place.with_suffix(".log.1"))
        with open_private(place, os.O_CREAT | os.O_WRONLY | os.O_APPEND) as file:
            self.give(place)
            yield ServerLog(place, file, place.stat().st_size)

    def write_run_file(self, servers: Mapping[str, Any]) -> None:
        """Tell other commands how to reach the servers."""
        self._write(self.path / _RUN_FILE, json.dumps(dict(servers)))

    def remove_run_file(self) -> None:
        """The servers are not to be used any more."""
        (self.path / _RUN_FILE).unlink(missing_ok=True)

    def _write(self, place: Path, text: str) -> None:
        """All or nothing, durable, for the owner only."""
        draft = place.with_name(f"{place.name}.new")
        draft.unlink(missing_ok=True)
        with open_private(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self.give(draft)
        draft.replace(place)
        sync_folder(place.parent)


@contextlib.contextmanager
def claim(path: Path) -> Iterator[DataFolder]:
    """Own the folder, made when it is not there, until the end of the block.

    Raises `EmbeddedError` when another process owns it, when it cannot be used, or when it holds other
    things.
    """
    path = path.absolute()
    try:
        folder = _prepared(path)
        lock = open_private(path / _LOCK, os.O_CREAT | os.O_RDWR)
    except OSError as problem:
        raise could_not_use(path, problem) from problem
    with lock:
        _take(lock, path)
        try:
            folder.remove_run_file()
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            folder.give(path / _LOCK)
        except OSError as problem:
            raise could_not_use(path, problem) from problem
        try:
            yield folder
        finally:
            with contextlib.suppress(OSError):
                folder.remove_run_file()


def read_run_file(path: Path) -> dict[str, Any] | None:
    """How to reach the servers of the folder's living owner; None when there is none, or not yet.

    Raises `EmbeddedError` when the folder belongs to somebody else.
    """
    try:
        with open_private(path / _LOCK, os.O_RDONLY) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                run: dict[str, Any] = json.loads((path / _RUN_FILE).read_text())
                return run
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        raise could_not_use(path, problem) from problem
    return None


def open_private(place: Path, flags: int) -> IO[str]:
    """Open a file that, when it is made here, only its owner may read. A link is refused: we may be root."""
    mode = {os.O_RDONLY: "r", os.O_WRONLY: "w", os.O_RDWR: "r+"}[flags & os.O_ACCMODE]
    return os.fdopen(os.open(place, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), mode)


def sync_folder(place: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: old connections do not count
        try:
            trial.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


def _prepared(path: Path) -> DataFolder:
    if path.exists() and not path.is_dir():
        raise EmbeddedError(f"{path} is a file: name a folder for the data, or move the file away")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = DataFolder(path)
    present = {entry.name for entry in path.iterdir()}
    if _LOCK not in present and not present <= _NOT_FOREIGN:
        raise EmbeddedError(
            f"{path} holds other things, such as {min(present - _NOT_FOREIGN)}: name a folder of its own for the data"
        )
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    if ".gitignore" not in present:
        (path / ".gitignore").write_text("*\n")
        folder.give(path / ".gitignore")
    return folder


def _take(lock: IO[str], path: Path) -> None:
    deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.01)
                continue
            lock.seek(0)
            holder = lock.read().strip() or "of unknown number"
            raise EmbeddedError(
                f"{path} is in use by another OpsConnect (process {holder}): stop that one, or name another data folder"
            ) from None
        except OSError as problem:
            raise could_not_use(path, problem) from problem
        return
