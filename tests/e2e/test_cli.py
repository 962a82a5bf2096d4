"""The command line through processes of its own, on a real Postgres."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import Servers
from tests.e2e import commands
from tests.e2e.conftest import at_revision

ROOT = Path(__file__).parents[2]

FILE = """
sources:
  - {name: demo, provider: hmac, verify: {header: X-A}, secrets: ["file:demo.secret"]}
  - {name: salesforce, provider: salesforce, verify: none}
"""


@dataclass
class Answer:
    code: int
    out: list[str]
    err: list[str]


@dataclass
class Shell:
    """Runs `opsconnect` in a folder of its own."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What a command finds in its environment."""
        clean = {name: value for name, value in os.environ.items() if not name.upper().startswith("OPSCONNECT_")}
        return {**clean, "PYTHONPATH": str(ROOT), **self.variables}

    def __call__(self, *arguments: str, stdin: str = "") -> Answer:
        done = commands.run(
            arguments, environment=self.environment, folder=self.folder, seconds=30, stdin=stdin.encode()
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Answer(done.returncode, done.stdout.splitlines(), done.stderr.splitlines())


@pytest.fixture
def database_url(emptied_database: str) -> str:
    """One for all of them: who changes its schema changes it back."""
    return emptied_database


@pytest.fixture
def shell(tmp_path: Path, database_url: str) -> Shell:
    (tmp_path / "demo.secret").write_text("canary\n")
    (tmp_path / "opsconnect.yaml").write_text(FILE)
    patient = {
        f"OPSCONNECT_POSTGRES_{wait}_SECONDS": "10" for wait in ("ACQUIRE", "CONNECT", "APPEND", "LOCK", "STATEMENT")
    }
    return Shell(tmp_path, {"OPSCONNECT_DATABASE_URL": database_url, **patient})


async def test_applying_creates_then_changes_nothing_then_shows_what_changed(shell: Shell) -> None:
    assert shell("apply", "-f", "opsconnect.yaml") == Answer(
        0, ["created    source      demo", "created    source      salesforce", "", "2 created."], []
    )
    assert shell("apply", "-f", "opsconnect.yaml").out[-1] == "2 unchanged."
    changed = FILE.replace("X-A}", "X-B, prefix: v1=}")
    dry_run = shell("apply", "-f", "-", "--dry-run", stdin=changed)
    assert dry_run == Answer(
        0,
        [
            "changed    source      demo        verify.header: x-a → x-b",
            "                                   verify.prefix: not given → v1=",
            "unchanged  source      salesforce",
            "",
            "1 changed, 1 unchanged. A dry run: nothing was written.",
        ],
        [],
    )
    assert shell("apply", "-f", "-", stdin=changed).out[0] == dry_run.out[0]


async def test_json_gives_the_plan_and_nothing_else_on_stdout(shell: Shell) -> None:
    (shell.folder / "demo.secret").unlink()
    answer = shell("apply", "-f", "opsconnect.yaml", "--json")
    assert answer.err == []
    plan = json.loads("\n".join(answer.out))
    assert plan["applied"] is True
    assert plan["sources"] == [
        {"name": "demo", "change": "created", "diff": []},
        {"name": "salesforce", "change": "created", "diff": []},
    ]
    assert plan["connections"] == []
    assert [warning["where"] for warning in plan["warnings"]] == ["line 3, sources[0].secrets[0]"]


async def test_a_secret_that_is_not_here_is_a_warning_on_stderr(shell: Shell) -> None:
    (shell.folder / "demo.secret").unlink()
    answer = shell("apply", "-f", "opsconnect.yaml")
    assert answer.code == 0
    assert [line.split(" cannot")[0] for line in answer.err] == [
        "warning  line 3, sources[0].secrets[0]: file:demo.secret"
    ]


async def test_each_fault_of_a_document_is_one_line_on_stderr_and_the_exit_code_is_1(shell: Shell) -> None:
    bad = FILE.replace("name: demo", "name: Demo").replace("verify: none", "verify: off")
    answer = shell("apply", "-f", "-", stdin=bad)
    assert (answer.code, answer.out) == (1, [])
    assert [line.split(":")[0] for line in answer.err] == [
        "error  line 3, sources[0].name",
        "error  line 4, sources[1].verify",
    ]


@pytest.mark.parametrize(
    ("arguments", "variables", "line"),
    [
        (["apply", "-f", "none.yaml"], {}, "error  none.yaml: cannot be read: No such file or directory"),
        (["apply", "-f", "opsconnect.yaml"], {"OPSCONNECT_PORT": "x"}, "error  OPSCONNECT_PORT: "),
        (["config"], {"OPSCONNECT_REDIS_URL": "http://canary"}, "error  OPSCONNECT_REDIS_URL: must look like redis://"),
        (
            ["apply", "-f", "opsconnect.yaml"],
            {"OPSCONNECT_DATABASE_URL": "postgresql://u:canary@127.0.0.1:1/x"},
            "error  no connection to Postgres at 127.0.0.1:1/x: Connection refused; ",
        ),
    ],
)
async def test_what_fails_says_why_in_one_line_and_exits_with_1(
    shell: Shell, arguments: list[str], variables: dict[str, str], line: str
) -> None:
    shell.variables |= variables
    answer = shell(*arguments)
    assert (answer.code, answer.out, len(answer.err)) == (1, [], 1)
    assert answer.err[0].startswith(line)
    assert "canary" not in answer.err[0]


@pytest.mark.parametrize("arguments", [["apply"], ["aply"], ["apply", "-f"], ["config", "--no-such"]])
async def test_wrong_usage_exits_with_2(shell: Shell, arguments: list[str]) -> None:
    answer = shell(*arguments)
    assert (answer.code, answer.out) == (2, [])
    assert answer.err[-1].startswith("Error: ")


async def test_config_shows_every_setting_and_no_secret(shell: Shell) -> None:
    shell.variables["OPSCONNECT_DATABASE_URL"] = "postgresql://user:canary@host/db"
    (shell.folder / ".env").write_text("OPSCONNECT_ADMIN_KEY=canary\nOPSCONNECT_FLUSHERS=3\n")
    plain = shell("config")
    assert plain.code == 0
    assert [" ".join(line.split()) for line in plain.out if "(" in line and "POSTGRES_" not in line] == [
        "OPSCONNECT_DATABASE_URL postgresql://user:********@host/db (environment)",
        "OPSCONNECT_ADMIN_KEY ******** (.env)",
        "OPSCONNECT_FLUSHERS 3 (.env)",
    ]
    listed = json.loads("\n".join(shell("config", "--json").out))
    assert {"variable": "OPSCONNECT_FLUSHERS", "value": 3, "origin": ".env"} in listed
    assert len(listed) == len(plain.out)
    assert "canary" not in json.dumps(listed)


async def test_the_version_is_said(shell: Shell) -> None:
    answer = shell("--version")
    assert answer.code == 0
    assert answer.out[0].startswith("opsconnect 0.")


async def test_a_terminal_that_knows_no_arrows_gets_an_escape(shell: Shell) -> None:
    shell("apply", "-f", "opsconnect.yaml")
    printed = subprocess.run(  # by an interpreter of its own: how it writes is settled at its start
        [sys.executable, "-m", "app", "apply", "-f", "-"],
        env={**shell.environment, "PYTHONIOENCODING": "ascii"},
        cwd=shell.folder,
        input=FILE.replace("X-A", "X-B").encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=30,
    ).stdout
    assert printed.splitlines()[0] == rb"changed    source      demo        verify.header: x-a \u2192 x-b"


async def test_a_url_with_options_means_the_same_to_every_command(shell: Shell) -> None:
    """Managed databases are given with ?sslmode=…: migrations, operators' queries and intake all understand it."""
    shell.variables["OPSCONNECT_DATABASE_URL"] += "?sslmode=prefer"
    assert shell("migrate").code == 0
    assert shell("events", "list") == Answer(0, ["No events."], [])
    assert shell("apply", "-f", "opsconnect.yaml").code == 0


async def test_a_url_that_cannot_be_used_is_one_line_everywhere(shell: Shell) -> None:
    good = shell.variables["OPSCONNECT_DATABASE_URL"]
    for url in (f"{good}?sslmode=canary", "postgresql://user:can/ary@127.0.0.1:1/x", "postgresql://u@127.0.0.1:x/y"):
        shell.variables["OPSCONNECT_DATABASE_URL"] = url
        for command in (["migrate"], ["events", "list"], ["apply", "-f", "opsconnect.yaml"]):
            answer = shell(*command)
            assert (answer.code, answer.out, len(answer.err)) == (1, [], 1), answer
            assert "ary@" not in answer.err[0]


async def test_revisions_that_are_not_there_say_which_are(shell: Shell) -> None:
    answer = shell("migrate", "--to", "nonsense")
    assert (answer.code, len(answer.err)) == (1, 1)
    assert answer.err[0].startswith("error  --to: ")
    assert "0001" in answer.err[0]


async def test_a_database_of_a_newer_version_is_left_alone(shell: Shell) -> None:
    async with at_revision(shell.variables["OPSCONNECT_DATABASE_URL"], "9999"):
        answer = shell("migrate")
    assert (answer.code, len(answer.err)) == (1, 1)
    assert "at revision 9999" in answer.err[0]
    assert "newer OpsConnect" in answer.err[0]


async def test_a_database_without_the_schema_says_what_to_run(shell: Shell, servers: Servers) -> None:
    shell.variables["OPSCONNECT_DATABASE_URL"] = servers.postgres.superuser_url("postgres")
    answer = shell("apply", "-f", "opsconnect.yaml")
    assert (answer.code, len(answer.err)) == (1, 1)
    assert answer.err[0].endswith("Run 'opsconnect migrate'")
    assert shell("events", "list").err[0].endswith("Run 'opsconnect migrate'")
