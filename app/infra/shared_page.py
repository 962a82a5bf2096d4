"""Bytes that a process shows to its relatives: memory that is shared by all who are forked from its maker.

A page holds two halves and says which one counts. A write goes to the other half and then turns the page, so that who
is killed in the middle of it leaves the last whole content behind. A reader that was overtaken sees so by the checksum,
and looks again.
"""

import mmap
import struct
from zlib import crc32

MOST_BYTES = 4_000_000
"""In one content. Memory that was never written to takes no room."""
_HEAD = struct.Struct("<II")
_TRIES = 1_000


class SharedPage:
    """One writer's page; everybody may read it."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._memory = mmap.mmap(-1, 1 + 2 * (_HEAD.size + most_bytes))

    def write(self, content: bytes) -> None:
        """Show this from now on. Raises `ValueError` where it is too long."""
        if len(content) > self._most:
            raise ValueError(f"{len(content)} bytes are too many for a page of {self._most}")
        half = 1 - self._memory[0]
        start = self._start(half)
        self._memory[start : start + _HEAD.size] = _HEAD.pack(len(content), crc32(content))
        self._memory[start + _HEAD.size : start + _HEAD.size + len(content)] = content
        self._memory[0] = half

    def read(self) -> bytes:
        """Give what is shown; empty: nothing yet."""
        for _ in range(_TRIES):
            start = self._start(self._memory[0])
            length, checksum = _HEAD.unpack_from(self._memory, start)
            content = self._memory[start + _HEAD.size : start + _HEAD.size + min(length, self._most)]
            if crc32(content) == checksum:
                return content
        return b""

    def _start(self, half: int) -> int:
        return 1 + half * (_HEAD.size + self._most)
