"""`opsconnect connections` on a real Postgres, and how a plan shows them; in this process, to save the start."""

import asyncio
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.adapters.memory.configuration import MemoryConfiguration
from app.adapters.postgres.configuration import PostgresConfiguration
from app.adapters.postgres.connections import Connections
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.cli import _show, cli
from app.core.domain.connection import Connection
from app.core.domain.document import Document
from app.core.domain.source import Source
from app.core.use_cases.apply_configuration import Plan
from tests.applying import applying
from tests.conftest import PATIENT
from tests.operators import ADA

SINK = Connection(
    "sink",
    "http",
    {"base_url": "http://localhost:8101", "headers": {"X-A": "ä"}, "most": 2**70 + 1, "on": True},
    (("token", "env:SINK_TOKEN"),),
    ("localhost", "10.1.0.0/16"),
)
QUEUE = Connection("queue", "kafka")
SOURCES = [Source("shop", "test", None, run="sink.post"), Source("demo", "test", None, run="sink.put")]


@dataclass
class Command:
    def __call__(self, *arguments: str) -> tuple[int, list[str], list[str]]:
        result = CliRunner().invoke(cli, ["connections", *arguments])
        return result.exit_code, result.stdout.splitlines(), result.stderr.splitlines()

    def json(self, *arguments: str) -> Any:
        code, out, err = self(*arguments, "--json")
        assert (code, err) == (0, [])
        return json.loads("\n".join(out))


@pytest.fixture
def command(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPSCONNECT_DATABASE_URL", database_url)
    return Command()


def keep(database_url: str) -> None:
    async def run() -> None:
        connections = Connections(database_url, budget=PATIENT, largest=1)
        await PostgresConfiguration(connections).apply(SOURCES, [SINK, QUEUE])
        await connections.close()

    asyncio.run(run())


def test_they_are_listed_with_the_sources_that_run_them_and_shown_whole(command: Command, database_url: str) -> None:
    assert command("list") == (0, ["No connections. 'opsconnect apply -f FILE' makes some."], [])
    keep(database_url)
    assert command("list") == (
        0,
        [
            "queue             kafka             no source runs it",
            "sink              http              run by demo, shop",
        ],
        [],
    )
    assert command("show", "sink") == (
        0,
        [
            "name                  sink",
            "connector             http",
            'settings.base_url     "http://localhost:8101"',
            'settings.headers.X-A  "ä"',
            f"settings.most         {2**70 + 1}",
            "settings.on           true",
            "secrets.token         env:SINK_TOKEN",
            "allow_private         localhost, 10.1.0.0/16",
            "run by                demo, shop",
        ],
        [],
    )
    sink = {
        "name": "sink",
        "connector": "http",
        "settings": SINK.settings,
        "secrets": {"token": "env:SINK_TOKEN"},
        "allow_private": ["localhost", "10.1.0.0/16"],
        "run_by": ["demo", "shop"],
    }
    assert command.json("show", "sink") == sink
    assert command.json("list")[1] == sink


def test_one_that_is_not_there_is_one_line_and_exit_code_1(command: Command) -> None:
    assert command("show", "none") == (
        1,
        [],
        ["error  none: no connection has this name; 'opsconnect connections list' lists those that exist"],
    )


def plan(document: dict[str, Any], kept: MemoryConfiguration, *, dry_run: bool = False) -> Plan:
    secrets = ReferencedSecrets({"env": EnvironmentSecrets({"SINK_TOKEN": "canary"})})
    return asyncio.run(applying(secrets, kept)(Document(document), ADA, dry_run=dry_run))


def test_a_plan_shows_sources_and_connections_beneath_each_other_and_no_secret(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = MemoryConfiguration()
    sink = {"name": "sink", "connector": "http", "settings": {"base_url": "http://a"}, "secrets": {"token": "env:OLD"}}
    source = {"name": "demo", "provider": "test", "verify": "none"}
    plan({"sources": [source], "connections": [sink]}, kept)
    moved = {**sink, "settings": {"base_url": "http://b"}, "secrets": {"token": "env:SINK_TOKEN"}}
    queue = {"name": "queue", "connector": "kafka"}
    _show(plan({"sources": [{**source, "run": "sink"}], "connections": [moved, queue]}, kept, dry_run=True))
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "changed    source      demo   run: not given → sink.post",
        'changed    connection  sink   settings.base_url: "http://a" → "http://b"',
        "                              secrets.token: env:OLD → env:SINK_TOKEN",
        "created    connection  queue",
        "",
        "1 created, 2 changed. A dry run: nothing was written.",
    ]
    assert said.err == ""


def test_a_check_says_what_does_not_work_and_asks_the_other_side(
    command: Command, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings = {"base_url": f"http://127.0.0.1:{port}/hook", "auth": {"kind": "bearer"}}
    sink = Connection("sink", "http", settings, (("token", "env:SINK_TOKEN"),), ("127.0.0.1",))

    async def run() -> None:
        connections = Connections(database_url, budget=PATIENT, largest=1)
        await PostgresConfiguration(connections).apply([], [sink, Connection("notes", "file", {"path": "notes"})])
        await connections.close()

    asyncio.run(run())
    assert command("check", "notes") == (0, ["notes works, as far as one can see without doing anything."], [])
    code, _, (line,) = command("check", "sink")
    assert (code, "env:SINK_TOKEN" in line) == (1, True)
    monkeypatch.setenv("SINK_TOKEN", "canary")
    code, _, (line,) = command("check", "sink")
    assert code == 1
    assert "cannot be reached" in line
    assert "canary" not in line
    code, _, (line,) = command("check", "nobody")
    assert line.startswith("error  nobody: there is no connection or connector called 'nobody'")
