"""The registry: what is built in, and what other people's packages bring, good and bad."""

from pathlib import Path

import pytest

from app.adapters.memory.outgoing import MemoryOutgoing
from app.adapters.schemas.json_schema import JsonSchemas
from app.core.domain.outgoing import OutgoingAnswer, OutgoingRequest
from app.infra.connectors import GROUP, find_connectors
from tests.logged import logged

BUILT_IN = ["echo", "http", "arithmetic", "log", "file"]
PLUGIN = """
from app.core.domain.connector import Action, Described, Done, Effect
from app.core.ports.connector import Connector

class Plugin(Connector):
    def __init__(self, context, name="{name}", schema={}):
        self.context, self.name, self.schema = context, name, schema

    @property
    def described(self):
        return Described(self.name, "A plugin", (Action("do", "Does", Effect.UNSAFE, self.schema),))

    async def run(self, call):
        return Done(call.input)

    async def check(self, call):
        return None
"""
BROKEN = {
    "import": ("raise ImportError('no such\\n\\x1b[31mdriver')", "ImportError: no such"),
    "exit": ("import sys; sys.exit('gone')", "SystemExit: gone"),
    "syntax": ("def", "SyntaxError"),
    "no_make": ("", "AttributeError"),
    "raising": ("def make(context): raise OSError('not today')", "OSError: not today"),
    "nothing": ("def make(context): return None", "AttributeError"),
    "half": (PLUGIN + "\nclass Half(Connector):\n    described = None\ndef make(context): return Half()", "TypeError"),
    "other-name": (PLUGIN + "\ndef make(context): return Plugin(context, 'mine')", "it calls itself 'mine'"),
    "bad.name": (PLUGIN + "\ndef make(context): return Plugin(context)", "its name 'bad.name' must be"),
    "schema": (PLUGIN + "\ndef make(context): return Plugin(context, schema={'type': 'text'})", "input_schema of do: "),
    "schema-kind": (
        PLUGIN + "\ndef make(context): return Plugin(context, schema=[])",
        "must be a JSON Schema as a dict",
    ),
    "schema-json": (PLUGIN + "\ndef make(context): return Plugin(context, schema={'a': {1}})", "what JSON can say"),
    "no-actions": (
        PLUGIN + "\nclass Idle(Plugin):\n    described = Described('no-actions', 'Idle', ())"
        "\ndef make(context): return Idle(context)",
        "it must have an action",
    ),
    "not-async": (
        PLUGIN + "\nclass Plain(Plugin):\n    def run(self, call): ...\ndef make(context): return Plain(context)",
        "run and check must be async",
    ),
}


async def answer(request: OutgoingRequest) -> OutgoingAnswer:
    return OutgoingAnswer(200, [], b"", False)


OUTGOING = MemoryOutgoing(answer, {})


def install(folder: Path, package: str, name: str, code: str) -> None:
    """What an installer leaves: a module, and a folder of metadata with its entry point."""
    module = f"plugin_{package.replace('-', '_')}"
    (folder / f"{module}.py").write_text(code.replace("{name}", name))
    metadata = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {module}:make\n")


def test_the_built_in_ones_are_there_with_nothing_installed(tmp_path: Path) -> None:
    with logged(tmp_path / "log") as log:
        found = find_connectors(OUTGOING, JsonSchemas())
        assert list(found) == BUILT_IN
        assert {name: connector.described.name for name, connector in found.items()} == dict(
            zip(found, found, strict=True)
        )
        assert log.events() == []


def test_a_plugin_is_found_and_gets_the_guarded_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "opsconnect-fine", "fine", PLUGIN + "\ndef make(context): return Plugin(context)")
    monkeypatch.syspath_prepend(tmp_path)
    found = find_connectors(OUTGOING, JsonSchemas())
    assert list(found) == [*BUILT_IN, "fine"]
    assert found["fine"].context.outgoing is OUTGOING  # type: ignore[attr-defined]


def test_broken_plugins_are_told_and_left_out_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (code, _) in BROKEN.items():
        install(tmp_path, f"broken-{name.replace('.', '-')}", name, code)
    install(tmp_path, "fine-after-all", "zzz", PLUGIN + "\ndef make(context): return Plugin(context)")
    monkeypatch.syspath_prepend(tmp_path)
    with logged(tmp_path / "log") as log:
        found = find_connectors(OUTGOING, JsonSchemas())
        told = {line["connector"]: line for line in log.events("connector.left_out")}
    assert list(found) == [*BUILT_IN, "zzz"]
    assert set(told) == set(BROKEN)
    for name, (_, reason) in BROKEN.items():
        assert reason in told[name]["reason"], told[name]
        assert told[name]["reason"].isprintable()
        assert told[name]["package"] == f"broken-{name.replace('.', '-')}"
        assert told[name]["level"] == "warning"


def test_a_name_that_is_taken_stays_with_whom_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package, name in (("thief", "http"), ("b-second", "mine"), ("a-first", "mine")):
        install(tmp_path, package, name, PLUGIN + "\ndef make(context): return Plugin(context)")
    monkeypatch.syspath_prepend(tmp_path)
    with logged(tmp_path / "log") as log:
        found = find_connectors(OUTGOING, JsonSchemas())
        told = [(line["package"], line["reason"]) for line in log.events("connector.left_out")]
    assert type(found["http"]).__name__ == "HttpConnector"
    assert type(found["mine"]).__module__ == "plugin_a_first"
    assert sorted(told) == [("b-second", "the name 'mine' is taken"), ("thief", "the name 'http' is taken")]
