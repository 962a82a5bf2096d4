"""Both servers together, as `opsconnect dev` and the tests use them, and how other commands find them."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from app.infra.embedded.binaries import find_redis
from app.infra.embedded.data_folder import DataFolder, claim, read_run_file
from app.infra.embedded.errors import could_not_use
from app.infra.embedded.postgres import NO_SETTINGS, PostgresServer
from app.infra.embedded.redis import RedisServer


@dataclass(frozen=True, slots=True)
class EmbeddedServers:
    """How to reach the running servers. The URLs hold their passwords."""

    database_url: str
    """`postgresql://opsconnect:PASSWORD@127.0.0.1:PORT/opsconnect`"""
    redis_url: str | None
    """`redis://:PASSWORD@127.0.0.1:PORT/0`; None when there is no server program."""
    redis_missing: str | None
    """Why there is no Redis."""
    postgres_pid: int
    redis_pid: int | None


@contextmanager
def start(
    data_dir: Path, *, postgres_bin: Path | None = None, extra_settings: Mapping[str, str] = NO_SETTINGS
) -> Iterator[EmbeddedServers]:
    """Own the data folder and run both servers on it until the end of the block; both are ready then.

    The first start makes the folder and the database (below a second), later ones keep what is there.
    `postgres_bin` is a folder of Postgres programs to use instead of those found, `extra_settings` are
    settings of Postgres. Needs no event loop and blocks while it waits. Raises `EmbeddedError`: one line,
    nothing left running.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(claim(data_dir))
        try:
            servers = _start_both(folder, stack, postgres_bin, extra_settings)
            folder.write_run_file(asdict(servers))
        except OSError as problem:
            raise could_not_use(folder.path, problem) from problem
        stack.callback(folder.remove_run_file)  # before the servers go
        yield servers


def running(data_dir: Path) -> EmbeddedServers | None:
    """The servers that a living owner, this process or another, runs on this folder; None when there is none.

    Raises `EmbeddedError` when the folder may not be read.
    """
    found = read_run_file(data_dir.absolute())
    return None if found is None else EmbeddedServers(**found)


def _start_both(
    folder: DataFolder, stack: ExitStack, postgres_bin: Path | None, extra_settings: Mapping[str, str]
) -> EmbeddedServers:
    postgres = PostgresServer(folder, postgres_bin=postgres_bin, extra_settings=extra_settings)
    stack.callback(postgres.stop)
    program, missing = find_redis()
    redis = RedisServer(folder, program) if program else None
    if redis:
        stack.callback(redis.stop)
        redis.launch()  # it comes up while Postgres does
    postgres.start()
    if redis:
        redis.wait_until_ready()
    return EmbeddedServers(
        database_url=postgres.url(),
        redis_url=redis.url() if redis else None,
        redis_missing=missing,
        postgres_pid=postgres.pid,
        redis_pid=redis.pid if redis else None,
    )
