"""What only files can do: end in a newline, be too large, be no file at all."""

import os
from pathlib import Path

import pytest

from app.adapters.secrets.file import LARGEST_BYTES, FileSecrets
from app.core.domain.errors import SecretMissing


@pytest.mark.parametrize(
    ("content", "secret"),
    [(b"a\n", b"a"), (b"a\r\n", b"a"), (b"a\n\n", b"a\n"), (b" a ", b" a "), (b"a\r", b"a\r"), (b"\na", b"\na")],
)
async def test_one_newline_at_the_end_is_the_editors_and_everything_else_is_the_secrets(
    tmp_path: Path, content: bytes, secret: bytes
) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert await FileSecrets(tmp_path).resolve("file:secret") == secret


async def test_a_path_is_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes(b"a")
    assert await FileSecrets().resolve("file:secret") == b"a"
    assert await FileSecrets(Path("/none")).resolve(f"file:{tmp_path}/secret") == b"a"


async def test_a_file_that_changes_is_read_anew(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"a")
    secrets = FileSecrets(tmp_path)
    await secrets.resolve("file:secret")
    (tmp_path / "secret").write_bytes(b"b")
    assert await secrets.resolve("file:secret") == b"b"


async def test_64_kilobytes_are_the_most(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"a" * LARGEST_BYTES)
    assert len(await FileSecrets(tmp_path).resolve("file:secret")) == LARGEST_BYTES
    (tmp_path / "secret").write_bytes(b"a" * (LARGEST_BYTES + 1))
    with pytest.raises(SecretMissing, match="larger than 64 KB"):
        await FileSecrets(tmp_path).resolve("file:secret")


async def test_what_is_no_regular_file_is_missing_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(SecretMissing, match="is not a regular file"):
            await FileSecrets().resolve(f"file:{path}")


@pytest.mark.parametrize("content", [b"\n", b"  \r\n", b"\t"])
async def test_a_blank_file_holds_no_secret(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(SecretMissing, match="is empty"):
        await FileSecrets(tmp_path).resolve("file:secret")
