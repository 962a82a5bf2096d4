"""Secrets in files: `file:PATH`, as container platforms mount them."""

import asyncio
import os
import stat
from pathlib import Path

from app.core.domain.errors import SecretMissing
from app.core.ports.secret_store import SecretStore

PREFIX = "file:"
LARGEST_BYTES = 64 * 1024
LONGEST_PATH = 1024


class FileSecrets(SecretStore):
    """Reads the file anew each time; its bytes are the secret, less one newline that an editor left at the end."""

    def __init__(self, folder: Path = Path()) -> None:
        """Take paths that are not absolute from `folder`, the working directory by default."""
        self._folder = folder

    async def resolve(self, reference: str) -> bytes:
        """Read the file, in a thread: it may lie on another machine."""
        if (fault := self.fault(reference)) is not None:
            raise SecretMissing(f"a secret reference {fault}")
        return await asyncio.to_thread(_read, self._folder / reference.removeprefix(PREFIX), reference)

    def fault(self, reference: str) -> str | None:
        """Judge by the form."""
        path = reference.removeprefix(PREFIX)
        if not reference.startswith(PREFIX) or not path or len(path) > LONGEST_PATH or not path.isprintable():
            return "must be file:PATH with the path of a file that holds the secret and nothing else"
        if path.startswith("~"):
            return "must be file:PATH with the whole path: ~ stands for no folder here"
        return None


def _read(path: Path, reference: str) -> bytes:
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SecretMissing(f"{reference} is not a regular file: name a file that holds the secret")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                value = file.read(LARGEST_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SecretMissing(
            f"{reference} cannot be read ({error.strerror}): put the secret there, readable for this process"
        ) from None
    if len(value) > LARGEST_BYTES:
        raise SecretMissing(f"{reference} is larger than {LARGEST_BYTES // 1024} KB: is it the right file?")
    value = value.removesuffix(b"\r\n" if value.endswith(b"\r\n") else b"\n")
    if not value.strip():
        raise SecretMissing(f"{reference} is empty: put the secret there")
    return value
