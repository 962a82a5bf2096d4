"""What a process shows to its relatives is whole at every moment, and stays when it is killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.infra.shared_page import SharedPage

# A process of its own, because this one has threads, and such a one should not fork.
PARENT = """
import os, signal, time
from app.infra.shared_page import SharedPage

page = SharedPage()
child = os.fork()
while not child:
    for letter, length in ((b"a", 10_000), (b"b", 50_000), (b"c", 1)):
        page.write(letter * length)
try:
    while not page.read():
        pass
    seen = {page.read() for _ in range(2_000)}
    late = time.monotonic() + 10  # both may have been given the one processor in turns
    while len(seen) < 2 and time.monotonic() < late:
        seen.add(page.read())
finally:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
for content in sorted(seen | {page.read()}):
    print(content[:1].decode() * len(set(content)), len(content), sep="")
"""


def test_what_was_written_last_is_read() -> None:
    page = SharedPage()
    assert page.read() == b""
    for content in (b"first", b"", b"x" * 100_000, b"y"):
        page.write(content)
        assert page.read() == content


def test_too_much_is_refused_and_changes_nothing() -> None:
    page = SharedPage(10)
    page.write(b"1234567890")
    with pytest.raises(ValueError, match="11 bytes are too many for a page of 10"):
        page.write(b"12345678901")
    assert page.read() == b"1234567890"


def test_a_child_s_content_is_whole_while_it_writes_and_after_it_was_killed() -> None:
    """Contents of one letter each, of different lengths, as fast as it can; killed wherever it was."""
    done = subprocess.run(
        [sys.executable, "-c", PARENT], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= {"a10000", "b50000", "c1"}
    assert len(done.stdout.split()) > 1, "the child was too slow to show anything"
