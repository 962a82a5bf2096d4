"""`.env.compose`: what `make up` writes, so that no password has a default."""

import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

VALUE = re.compile(r"[0-9a-f]{48}")


def written(folder: Path, repository: Path) -> Path:
    """Let make write the file in a folder."""
    make = shutil.which("make")
    assert make, "make is not here"
    command = [make, "--no-print-directory", "-C", str(folder), "-f", str(repository / "Makefile"), ".env.compose"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return folder / ".env.compose"


def variables(file: Path) -> dict[str, str]:
    """What the file sets."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if not line.startswith("#"))


@pytest.fixture
def file(tmp_path: Path, repository: Path) -> Path:
    """The file, written in a folder of the test's own."""
    return written(tmp_path, repository)


def test_it_has_everything_that_compose_demands(file: Path, repository: Path) -> None:
    """Every `${NAME:?…}` of the compose file is set, and nothing is set in vain."""
    demanded = re.findall(r"\$\{([A-Z_]+):\?", (repository / "docker-compose.yaml").read_text())
    assert set(variables(file)) == set(demanded)


def test_every_value_is_random_and_needs_no_quoting(file: Path, tmp_path: Path, repository: Path) -> None:
    """192 bits each, in characters that are themselves in URLs, shells and SQL; none twice, in another file neither."""
    (tmp_path / "other").mkdir()
    values = [*variables(file).values(), *variables(written(tmp_path / "other", repository)).values()]
    assert all(VALUE.fullmatch(value) for value in values)
    assert len(set(values)) == len(values)


def test_only_its_owner_may_read_it(file: Path) -> None:
    """Whatever the umask was."""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_second_run_leaves_it_alone(file: Path, tmp_path: Path, repository: Path) -> None:
    """The database in the volume was made with these passwords."""
    before = file.read_bytes(), file.stat().st_mtime_ns
    written(tmp_path, repository)
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    assert [entry.name for entry in tmp_path.iterdir()] == [".env.compose"]


def test_git_and_the_image_do_not_see_it(repository: Path) -> None:
    """The one ignores it by name, the other takes only what it is told to."""
    assert ".env.compose" in (repository / ".gitignore").read_text().splitlines()
    rules = [line for line in (repository / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    assert not [rule for rule in rules if rule.startswith("!") and "env" in rule]
