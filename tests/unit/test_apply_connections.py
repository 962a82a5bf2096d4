"""Applying connections, and sources that run them: what becomes of good ones, and all that is said about bad ones."""

from textwrap import dedent

import pytest

from app.adapters.memory.configuration import MemoryConfiguration
from app.adapters.memory.connection_registry import MemoryConnectionRegistry
from app.adapters.memory.source_registry import MemorySourceRegistry
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.file import FileSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.core.domain.connection import Connection
from app.core.domain.document import Document
from app.core.domain.errors import Invalid
from app.core.domain.source import Source
from app.core.use_cases.apply_configuration import Plan
from app.infra.configuration_file import parse
from tests.applying import applying
from tests.operators import ADA
from tests.unit.bad_documents import BAD_CONNECTIONS

SECRETS = ReferencedSecrets({"env": EnvironmentSecrets({"SINK_TOKEN": "value-canary"}), "file": FileSecrets()})

GOOD = """
sources:
  - {name: demo, provider: test, verify: none, run: sink.put}
  - {name: first, provider: test, verify: none, run: sink}
  - {name: plain, provider: test, verify: none, run: echo}
  - {name: none, provider: test, verify: none}
connections:
  - name: sink
    connector: http
    settings: {base_url: "http://localhost:8101", headers: {X-A: "1"}, most: 1180591620717411303425}
    secrets: {token: "env:SINK_TOKEN"}
    allow_private: [localhost, "::1", 10.1.0.0/16]
  - {name: queue, connector: kafka, settings: {wait: 1.0, on: true, off: null, deep: [{a: []}]}}
"""

SINK = Connection(
    "sink",
    "http",
    {"base_url": "http://localhost:8101", "headers": {"X-A": "1"}, "most": 2**70 + 1},
    (("token", "env:SINK_TOKEN"),),
    ("localhost", "::1", "10.1.0.0/16"),
)
QUEUE = Connection("queue", "kafka", {"wait": 1.0, "on": True, "off": None, "deep": [{"a": []}]})
OLD = Connection("old", "http", {"base_url": "http://a"})
GONE = Connection("gone", "ftp")
STAYS = Source("stays", "test", None, run="old.post")


def kept(*connections: Connection, sources: tuple[Source, ...] = ()) -> MemoryConfiguration:
    return MemoryConfiguration(MemorySourceRegistry(sources), MemoryConnectionRegistry(connections))


async def applied(text: str, into: MemoryConfiguration | None = None, *, dry_run: bool = False) -> Plan:
    return await applying(SECRETS, into)(parse(dedent(text).encode(), "FILE"), ADA, dry_run=dry_run)


async def test_a_good_document_becomes_connections_and_sources_that_run_them() -> None:
    into = kept()
    plan = await applied(GOOD, into)
    assert [(one.name, one.change, one.diff) for one in plan.connections] == [
        ("sink", "created", ()),
        ("queue", "created", ()),
    ]
    assert plan.warnings == ()
    assert repr(await into.connections.all()) == repr([QUEUE, SINK])
    assert {source.name: source.run for source in await into.sources.all()} == {
        "demo": "sink.put",
        "first": "sink.post",
        "plain": "echo.echo",
        "none": None,
    }


async def test_applying_it_again_changes_nothing() -> None:
    into = kept()
    await applied(GOOD, into)
    plan = await applied(GOOD, into)
    assert {one.change for one in (*plan.sources, *plan.connections)} == {"unchanged"}


async def test_a_dry_run_plans_the_same_and_writes_nothing() -> None:
    into = kept()
    plan = await applied(GOOD, into, dry_run=True)
    assert {one.change for one in (*plan.sources, *plan.connections)} == {"created"}
    assert (await into.sources.all(), await into.connections.all()) == ([], [])


async def test_a_changed_connection_shows_old_and_new_of_each_setting_however_deep() -> None:
    into = kept(SINK)
    plan = await applied(
        """
        connections:
          - name: sink
            connector: http
            settings: {base_url: "http://localhost:8102", headers: {X-A: "2", "X.B": ""}, retries: [1, 2], most: 5}
            secrets: {token: "file:/none", password: "env:SINK_TOKEN"}
        """,
        into,
    )
    assert [str(difference) for difference in plan.connections[0].diff] == [
        'settings.base_url: "http://localhost:8101" → "http://localhost:8102"',
        'settings.headers.X-A: "1" → "2"',
        'settings.headers."X.B": not given → ""',
        "settings.retries: not given → [1, 2]",
        f"settings.most: {2**70 + 1} → 5",
        "secrets.password: not given → env:SINK_TOKEN",
        "secrets.token: env:SINK_TOKEN → file:/none",
        "allow_private: localhost, ::1, 10.1.0.0/16 → not given",
    ]


@pytest.mark.parametrize(
    ("old", "new", "line"), [(1, "true", "1 → true"), ("5", "5", '"5" → 5'), (1, "1.0", "1 → 1.0")]
)
async def test_what_is_equal_to_python_alone_shows_as_a_change(old: object, new: str, line: str) -> None:
    into = kept(Connection("queue", "kafka", {"wait": old}))
    plan = await applied(f"connections: [{{name: queue, connector: kafka, settings: {{wait: {new}}}}}]", into)
    assert [str(difference) for difference in plan.connections[0].diff] == [f"settings.wait: {line}"]


async def test_a_setting_shows_nothing_that_a_terminal_would_obey() -> None:
    document = Document({"connections": [{"name": "queue", "connector": "kafka", "settings": {"a\x1b[31m": "\x9b1m"}}]})
    (planned,) = (await applying(SECRETS, kept(Connection("queue", "kafka")))(document, ADA)).connections
    assert [str(difference) for difference in planned.diff] == [
        r'settings."a\u001b[31m": not given → "\u009b1m"',
    ]


async def test_what_a_source_runs_shows_in_its_diff() -> None:
    into = kept(OLD, sources=(STAYS,))
    (planned,) = (await applied("sources: [{name: stays, provider: test, verify: none, run: echo}]", into)).sources
    assert [str(difference) for difference in planned.diff] == ["run: old.post → echo.echo"]


async def test_a_source_may_run_what_was_applied_before_it() -> None:
    into = kept(OLD)
    assert (await applied("sources: [{name: a, provider: test, verify: none, run: old.get}]", into)).applied
    assert [source.run for source in await into.sources.all()] == ["old.get"]


async def test_a_connection_is_meant_before_a_connector_of_its_name() -> None:
    into = kept()
    await applied(
        """
        sources: [{name: a, provider: test, verify: none, run: kafka}]
        connections: [{name: kafka, connector: http, settings: {base_url: "http://a"}}]
        """,
        into,
    )
    assert [source.run for source in await into.sources.all()] == ["kafka.post"]


async def test_a_connection_may_become_another_connector_s_when_its_sources_come_with_it() -> None:
    into = kept(OLD, sources=(STAYS,))
    plan = await applied(
        """
        sources: [{name: stays, provider: test, verify: none, run: old.echo}]
        connections: [{name: old, connector: echo}]
        """,
        into,
    )
    assert (plan.sources[0].change, plan.connections[0].change) == ("changed", "changed")


async def test_a_secret_that_is_not_here_is_a_warning_at_its_place() -> None:
    plan = await applied(GOOD.replace("env:SINK_TOKEN", "env:OTHER"), dry_run=True)
    (warning,) = plan.warnings
    assert warning.where == "line 11, connections[0].secrets.token"
    assert warning.message.startswith("env:OTHER is not set: ")
    assert warning.message.endswith(" (where jobs run, it may be)")


@pytest.mark.parametrize(("text", "faults"), BAD_CONNECTIONS, ids=[faults[0] for _, faults in BAD_CONNECTIONS])
async def test_a_bad_document_is_refused_with_every_fault_and_nothing_is_applied(text: str, faults: list[str]) -> None:
    into = kept(OLD, GONE, sources=(STAYS,))
    with pytest.raises(Invalid) as refused:
        await applied(text, into)
    assert [str(fault) for fault in refused.value.faults] == faults
    assert "canary" not in str(refused.value)
    assert (await into.sources.all(), await into.connections.all()) == ([STAYS], [GONE, OLD])


async def test_one_bad_connection_keeps_the_good_ones_and_the_sources_from_being_applied() -> None:
    into = kept()
    with pytest.raises(Invalid):
        await applied(GOOD + "  - {name: third, connector: http}\n", into)
    assert (await into.sources.all(), await into.connections.all()) == ([], [])
