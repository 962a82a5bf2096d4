"""Appends JSON lines to a file below one folder of this process.

A line is there whole, and on the disk, before it says Done. A line that was written and not confirmed may be written
again: each has its idempotency key, by which readers tell.
"""

import asyncio
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from app.core.domain.connector import Action, ActionCall, Described, Done, Effect, Failed, Failure, Json, invalid
from app.core.domain.json_text import json_bytes
from app.core.ports.connector import Connector

LONGEST_PATH = 255
DESCRIBED = Described(
    name="file",
    title="File: appends JSON lines to a file on this machine",
    actions=(Action("append", "Append the input as one line, with its idempotency key", Effect.KEYED, {}),),
    settings_schema={
        "type": "object",
        "properties": {
            "path": {
                "type": "string",
                "minLength": 1,
                "maxLength": LONGEST_PATH,
                "description": "Of the file, below the folder of this process: orders/new.jsonl",
            }
        },
        "required": ["path"],
        "additionalProperties": False,
    },
)
LOCK_WAIT_SECONDS = 0.002


class FileConnector(Connector):
    """Writes in a thread: a disk may be slow. A write that has begun ends even if its call was cancelled."""

    def __init__(self, folder: Path) -> None:
        """Let nothing be written outside `folder`, which is made when it is first needed."""
        self._folder = folder

    @property
    def described(self) -> Described:
        """One action; it needs a path."""
        return DESCRIBED

    async def run(self, call: ActionCall) -> Done | Failed:
        """Append `{"key": …, "input": …}`; several processes may append to the same file."""
        try:
            parts = _parts(call.settings)
            line = json_bytes({"key": call.key, "input": call.input}) + b"\n"
        except ValueError as error:
            return invalid(str(error))
        try:
            async with asyncio.timeout(call.seconds):
                await asyncio.to_thread(self._append, parts, line, call.seconds)
        except TimeoutError:
            message = f"the disk did not confirm within {call.seconds:g} s"
            return Failed(Failure.RETRY, "disk_timeout", message, maybe_done=True)
        except _LeadsAwayError as error:
            return invalid(str(error), "invalid_path")
        except OSError as error:
            return _failed(error)
        return Done({"bytes": len(line)})

    async def check(self, call: ActionCall) -> Failed | None:
        """Look whether the file, or the nearest folder above it that there is, can be written to."""
        try:
            path = await asyncio.to_thread(self._whereabouts, _parts(call.settings))
        except (ValueError, _LeadsAwayError) as error:
            return invalid(str(error), "invalid_path")
        except OSError as error:
            return _failed(error)
        is_there = await asyncio.to_thread(path.exists)
        place = path if is_there else next(folder for folder in path.parents if folder.exists())
        if place.is_dir() == is_there:
            number = errno.EISDIR if is_there else errno.ENOTDIR
            return _failed(OSError(number, os.strerror(number)))
        return None if os.access(place, os.W_OK) else _failed(PermissionError(errno.EACCES, "Permission denied"))

    def _whereabouts(self, parts: tuple[str, ...]) -> Path:
        folder = self._folder.resolve()
        path = folder.joinpath(*parts)
        if not path.parent.resolve().is_relative_to(folder) or path.is_symlink():
            raise _LeadsAwayError("path leads out of the folder for files, by a link")
        return path

    def _append(self, parts: tuple[str, ...], line: bytes, seconds: float) -> None:
        path = self._whereabouts(parts)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        is_new = not path.exists()
        # Without O_NONBLOCK, opening a named pipe would wait for its reader.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _LeadsAwayError("path names something that is no file")
            with _alone(descriptor, seconds):
                _write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        for folder in path.parents[: len(parts)] if is_new else ():
            _keep_name(folder)


class _LeadsAwayError(Exception):
    """The path is not what it must be."""


def _parts(settings: Mapping[str, Json]) -> tuple[str, ...]:
    path = settings.get("path")
    if not isinstance(path, str) or not path.isprintable() or not 0 < len(path) <= LONGEST_PATH:
        raise ValueError(f"path must name a file, in at most {LONGEST_PATH} characters: orders/new.jsonl")
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.name or path.endswith("/"):
        raise ValueError("path must lead down from the folder for files: orders/new.jsonl, without / before it and ..")
    return pure.parts


@contextmanager
def _alone(descriptor: int, seconds: float) -> Iterator[None]:
    """Keep other writers off, in whatever process; one that is frozen is not waited for longer than there is time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(LOCK_WAIT_SECONDS)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _write(descriptor: int, line: bytes) -> None:
    """Write all of a line or nothing."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        line = b"\n" + line  # after a line that was torn when a process was killed, or the power went
    if os.write(descriptor, line) < len(line):
        os.ftruncate(descriptor, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _keep_name(folder: Path) -> None:
    """A new file is only there after a crash when the folder that names it is on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(error: OSError) -> Failed:
    """Disks are mended and emptied, rights are given: all of it may pass. EIO also comes from a flush."""
    message = f"the file cannot be written ({error.strerror}): mend that, or its rights"
    return Failed(Failure.RETRY, "disk_error", message, maybe_done=error.errno == errno.EIO)
