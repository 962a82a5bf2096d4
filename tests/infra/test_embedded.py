"""The embedded servers in good days: what they promise, how they are found, how the pieces are used."""

import asyncio
import os
import socket
import stat
import threading
from pathlib import Path

import asyncpg
import pytest
import redis

from app.infra.embedded import (
    EmbeddedError,
    PostgresServer,
    RedisServer,
    binaries,
    claim,
    find_redis,
    process,
    running,
    start,
)
from tests.infra.embedded_owner import IS_ROOT, all_gone, ask, owner

ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000)"
BUSY = f"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = '{ENDLESS}'"


async def test_the_second_start_keeps_data_addresses_and_passwords(data: Path) -> None:
    with start(data) as first:
        await ask(first.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert all_gone(first.postgres_pid, first.redis_pid)
    with start(data) as second:
        assert await ask(second.database_url, "SELECT answer FROM kept") == 42
    assert (second.database_url, second.redis_url) == (first.database_url, first.redis_url)


async def test_postgres_is_durable_and_its_role_is_modest(data: Path) -> None:
    """Our role owns its database, may copy it, may read the system identifier, and is no superuser."""
    with start(data, extra_settings={"log_min_messages": "info"}) as servers:
        url = servers.database_url
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await ask(url, f"SHOW {setting}") == "on"
        assert await ask(url, "SHOW log_min_messages") == "info"
        assert await ask(url, "SHOW server_encoding") == "UTF8"
        assert await ask(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
        assert await ask(url, "SELECT system_identifier FROM pg_control_system()")
        await ask(url, "CREATE TABLE mine (id int)")
        await ask(
            url.removesuffix("opsconnect") + "postgres",
            "CREATE DATABASE copy TEMPLATE opsconnect STRATEGY WAL_LOG",
        )


async def test_nobody_gets_in_without_the_password(data: Path) -> None:
    with start(data) as servers:
        for role in ("opsconnect", "postgres"):
            wrong = servers.database_url.split("@")[1]
            with pytest.raises(asyncpg.InvalidPasswordError):
                await ask(f"postgresql://{role}:guessed@{wrong}", "SELECT 1")
        assert servers.redis_url
        address = servers.redis_url.split("@")[1]
        with redis.Redis.from_url(f"redis://{address}") as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_redis_keeps_nothing_and_gives_up_what_expires_first(data: Path) -> None:
    with start(data) as servers:
        assert servers.redis_url
        with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
            assert client.config_get("save")["save"] == ""
            assert client.config_get("appendonly")["appendonly"] == "no"
            assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "volatile-ttl"
            assert client.config_get("maxmemory")["maxmemory"] == str(256 * 1024 * 1024)


def test_secrets_are_readable_by_their_owner_only_and_in_no_command_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with start(data) as servers:
        passwords = [file.read_text() for file in (data / "passwords").iterdir()]
        assert len(set(passwords)) == 3
        for pid in (servers.postgres_pid, servers.redis_pid):
            assert pid
            seen = process.command_of(pid)
            assert seen
            assert not any(password in seen for password in passwords)
        for place in [data, *data.rglob("*")]:
            if place.name not in {".gitignore", "redis.pid"}:
                assert stat.S_IMODE(place.lstat().st_mode) & 0o077 == 0, place
    assert (data / ".gitignore").read_text() == "*\n"


async def test_a_lost_password_file_is_made_again(data: Path) -> None:
    with start(data) as first:
        await ask(first.database_url, "CREATE TABLE kept (id int)")
    (data / "passwords" / "opsconnect").unlink()
    with start(data) as second:
        assert second.database_url != first.database_url
        assert await ask(second.database_url, "SELECT count(*) FROM kept") == 0


def test_another_command_finds_the_servers_while_their_owner_lives(data: Path) -> None:
    assert running(data) is None
    with owner(data) as other:
        servers = other.servers()
        assert running(data) == servers
        assert other.end() == 0
    assert running(data) is None
    with start(data) as own:
        assert running(data) == own


def test_a_second_owner_of_the_folder_is_told_who_has_it(data: Path) -> None:
    with owner(data) as other:
        other.servers()
        with pytest.raises(EmbeddedError, match=rf"in use by another OpsConnect \(process {other.process.pid}\)"):
            start(data).__enter__()
        assert running(data)


def test_a_taken_port_is_exchanged_for_another(data: Path) -> None:
    with start(data) as first:
        pass
    port = int((data / "ports" / "postgres").read_text())
    with socket.create_server(("127.0.0.1", port)), start(data) as second:
        assert second.database_url != first.database_url
        assert second.redis_url == first.redis_url


def test_without_a_redis_program_there_is_a_reason_instead(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.infra.embedded.servers.find_redis", lambda: (None, "nowhere to be found"))
    with start(data) as servers:
        assert servers.redis_url is None
        assert servers.redis_pid is None
        assert servers.redis_missing == "nowhere to be found"
        assert running(data) == servers


def test_redis_is_looked_for_in_the_wheel_then_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, reason = find_redis()
    assert program
    assert reason is None
    monkeypatch.setattr(binaries, "_wheel", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    program, reason = find_redis()
    assert program is None
    assert "embedded" in (reason or "")
    (tmp_path / "valkey-server").symlink_to("/bin/sh")
    assert find_redis() == (str(Path("/bin/sh").resolve()), None)


async def test_postgres_comes_back_at_its_address_after_a_kill(data: Path) -> None:
    """What was committed is there; even a backend deep in a computation is gone when `kill` returns."""
    with claim(data) as folder:
        postgres = PostgresServer(folder)
        try:
            postgres.start()
            url, first = postgres.url(), postgres.pid
            await ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
            busy = await asyncpg.connect(url)
            endless = asyncio.create_task(busy.fetch(ENDLESS))
            async with asyncio.timeout(10):
                while not await ask(postgres.superuser_url(), BUSY):
                    pass
            family = process.children_of(first)
            assert busy.get_server_pid() in family
            postgres.kill()
            assert not any(process.is_alive(each) for each in [first, *family])
            with pytest.raises((asyncpg.PostgresError, OSError)):
                await endless
            postgres.start()
            assert postgres.url() == url
            assert postgres.pid != first
            assert await ask(url, "SELECT answer FROM kept") == 42
        finally:
            postgres.stop()


def test_redis_comes_back_at_its_address_after_a_kill(tmp_path: Path) -> None:
    program, _ = find_redis()
    assert program
    with claim(tmp_path / "data") as folder:
        server = RedisServer(folder, program)
        try:
            server.start()
            url, first = server.url(), server.pid
            server.kill()
            assert not process.is_alive(first)
            server.start()
            assert server.url() == url
            with redis.Redis.from_url(url) as client:
                assert client.ping()
        finally:
            server.stop()


async def test_a_server_outlives_the_thread_that_asked_for_it(data: Path) -> None:
    """The kernel ties a server to the thread that forked it, so that must not be the caller's."""
    with claim(data) as folder:
        postgres = PostgresServer(folder)
        try:
            asking = threading.Thread(target=postgres.start)
            asking.start()
            asking.join()
            assert await ask(postgres.url(), "SELECT 1") == 1
            assert process.is_alive(postgres.pid)
        finally:
            postgres.stop()


@pytest.mark.skipif(not IS_ROOT, reason="only root can show that root works")
def test_root_works_below_a_folder_that_only_root_may_pass(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with start(closed / "data") as servers:
        assert Path(f"/proc/{servers.postgres_pid}").stat().st_uid == os.geteuid()
        owners = {place.lstat().st_uid for place in [closed, *(closed / "data").rglob("*")]}
        assert owners == {0}
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
