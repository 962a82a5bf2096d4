"""`opsconnect sources` through processes of its own, on a real Postgres; and that no secret shows anywhere (I10)."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from app.adapters.postgres.configuration import PostgresConfiguration
from app.adapters.postgres.connections import Connections
from app.core.domain.errors import Forbidden
from app.core.domain.source import OwnScheme, Source
from app.infra.container import build
from app.settings import load
from tests.conftest import PATIENT
from tests.e2e.api import serving
from tests.e2e.test_cli import Answer, Shell
from tests.registering import ASANA

KEY = "5e" * 32
ADDRESS = "https://hooks.example.com/api/v1/webhooks/asana"
CANARY = b"canary-5f1d0c7e9a3b42d8"
OPEN = Source("open", "test", verify=None)
SIGNED = Source(
    "signed",
    "hmac",
    OwnScheme.of(header="X-Signature", prefix="sha256="),
    ("env:SIGNED",),
    public_url="https://a.example/s",
)


@pytest.fixture
def database_url(emptied_database: str) -> str:
    """One for all of them: nobody changes the schema."""
    return emptied_database


@pytest.fixture
async def shell(tmp_path: Path, database_url: str) -> Shell:
    connections = Connections(database_url, budget=PATIENT, largest=1)
    await PostgresConfiguration(connections).apply([ASANA, OPEN, SIGNED])
    await connections.close()
    (tmp_path / "seal.key").write_text(f"{KEY}\n")
    return Shell(
        tmp_path,
        {
            "OPSCONNECT_DATABASE_URL": database_url,
            "OPSCONNECT_PUBLIC_URL": "https://hooks.example.com/",
            "OPSCONNECT_SEAL_KEY": "file:seal.key",
        },
    )


async def offer(shell: Shell, *secrets: bytes) -> Sequence[str]:
    """Offer secrets one after another, where webhooks are served; give what was said of those that were refused."""
    settings = load(
        database_url=shell.variables["OPSCONNECT_DATABASE_URL"],
        seal_key=f"file:{shell.folder / 'seal.key'}",
        postgres_connect_seconds=10,
        postgres_append_seconds=10,
    )
    refused = []
    async with build(settings) as container:
        for secret in secrets:
            try:
                await container.application.offer_secret(ASANA, secret)
            except Forbidden as error:
                refused.append(str(error))
    return refused


def said(answer: Answer) -> Any:
    assert (answer.code, answer.err) == (0, [])
    return json.loads("\n".join(answer.out))


async def test_the_list_tells_how_each_verifies_and_what_to_give_its_provider(shell: Shell) -> None:
    answer = shell("sources", "list")
    assert (answer.code, answer.err) == (0, [])
    assert [" ".join(line.split()) for line in answer.out] == [
        f"asana asana {ADDRESS} scheme: as the provider signs no secret by handshake yet",
        "open test https://hooks.example.com/api/v1/webhooks/open verify: none",
        'signed hmac https://a.example/s verify: {header: x-signature, prefix: "sha256="}',
    ]
    listed = said(shell("sources", "list", "--json"))
    assert [source["name"] for source in listed] == ["asana", "open", "signed"]
    assert listed[2] == {
        "name": "signed",
        "address": "https://a.example/s",
        "provider": "hmac",
        "verify": '{header: x-signature, prefix: "sha256="}',
        "secrets": ["env:SIGNED"],
        "public_url": "https://a.example/s",
        "registration": None,
    }


async def test_without_a_public_url_the_address_is_a_path(shell: Shell) -> None:
    del shell.variables["OPSCONNECT_PUBLIC_URL"]
    assert said(shell("sources", "show", "open", "--json"))["address"] == "/api/v1/webhooks/open"


async def test_a_source_is_registered_its_provider_brings_a_secret_and_it_is_shown_revealed_and_forgotten(
    shell: Shell,
) -> None:
    registered = shell("sources", "register", "asana")
    assert (registered.code, registered.err) == (0, [])
    assert registered.out[0].startswith("asana expects a secret until 20")
    assert registered.out[1].endswith("with this address: " + ADDRESS)
    assert "expects a secret" in shell("sources", "list").out[0]

    assert await offer(shell, CANARY, CANARY) == []

    shown = shell("sources", "show", "asana")
    assert shown.out[:2] == ["name          asana", f"address       {ADDRESS}"]
    assert "registration  the registration ended with the secret that came at " in shown.out[-2]
    registration = said(shell("sources", "show", "asana", "--json"))["registration"]
    (kept,) = registration["secrets"]
    assert registration["pending"] is False
    assert shown.out[-1].split(",")[0] == f"  secret {kept['id']}"
    assert shell("sources", "reveal", "asana") == Answer(0, [CANARY.decode()], [])
    assert said(shell("sources", "reveal", "asana", str(kept["id"]), "--json"))["secret"] == CANARY.decode()
    assert said(shell("sources", "forget", "asana", str(kept["id"]), "--json")) == {
        "name": "asana",
        "forgotten": kept["id"],
    }
    assert shell("sources", "reveal", "asana").code == 1
    assert said(shell("sources", "show", "asana", "--json"))["registration"] == {
        "pending": False,
        "ends_at": None,
        "secrets": [],
    }


async def test_applying_such_a_source_lets_it_expect_its_first_secret_and_applying_it_again_does_not(
    shell: Shell,
) -> None:
    file = '{sources: [{name: notion, provider: notion, secrets: ["handshake:notion"]}]}'
    applied = shell("apply", "-f", "-", stdin=file)
    assert (applied.code, len(applied.err)) == (0, 1)
    assert "handshake:notion holds no secret: a registration is pending until 20" in applied.err[0]
    first = said(shell("sources", "show", "notion", "--json"))["registration"]
    assert first["pending"] is True
    assert shell("apply", "-f", "-", stdin=file).code == 0
    assert said(shell("sources", "show", "notion", "--json"))["registration"] == first


async def test_a_seal_key_that_is_not_here_is_a_warning(shell: Shell) -> None:
    del shell.variables["OPSCONNECT_SEAL_KEY"]
    answer = shell("sources", "register", "asana")
    assert (answer.code, len(answer.out), len(answer.err)) == (0, 2, 1)
    assert answer.err[0].startswith("warning  OPSCONNECT_SEAL_KEY is not set, ")
    missing = said(shell("sources", "register", "asana", "--json"))["missing"]
    assert missing.startswith("OPSCONNECT_SEAL_KEY is not set")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["show", "none"], "error  none: no source has this name; 'opsconnect sources list' lists those that exist"),
        (
            ["register", "none"],
            "error  none: no source has this name; 'opsconnect sources list' lists those that exist",
        ),
        (["register", "Ünknown"], "error  Ünknown: no source has this name; "),
        (["register", "signed"], "error  signed takes no secret from a handshake: give it secrets: "),
        (["reveal", "asana"], "error  asana: it has no secret from a handshake; 'opsconnect sources show asana' "),
        (["reveal", "asana", "7"], "error  asana: it has no secret 7 from a handshake; "),
        (["forget", "asana", "99999999999999999999"], "error  asana: it has no secret 99999999999999999999 from "),
    ],
)
async def test_what_fails_says_why_in_one_line_and_exits_with_1(shell: Shell, arguments: list[str], line: str) -> None:
    answer = shell("sources", *arguments)
    assert (answer.code, answer.out, len(answer.err)) == (1, [], 1)
    assert answer.err[0].startswith(line)


@pytest.mark.parametrize("arguments", [[], ["register"], ["forget", "asana"], ["forget", "asana", "x"]])
async def test_wrong_usage_exits_with_2(shell: Shell, arguments: list[str]) -> None:
    assert shell("sources", *arguments).code == 2


async def test_a_lost_key_says_so(shell: Shell) -> None:
    shell("sources", "register", "asana")
    await offer(shell, CANARY)
    (shell.folder / "seal.key").write_text("ff" * 32)
    answer = shell("sources", "reveal", "asana")
    assert (answer.code, answer.out, len(answer.err)) == (1, [], 1)
    assert "which is none of OPSCONNECT_SEAL_KEY" in answer.err[0]


async def everything_in(database: Any) -> str:
    """Every row of every table, bytes in hexadecimal, as whoever steals the database reads it."""
    tables = await database.fetch(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public'"
    )
    rows = []
    for (table,) in tables:
        rows += [row[0] for row in await database.fetch(f"SELECT t::text FROM {table} t")]
    return "\n".join(rows)


def spellings(secret: bytes) -> list[str]:
    """A secret as text, in hexadecimal and in Base64, wherever in a longer text it begins."""
    as_base64 = [base64.b64encode(b"\0" * shift + secret)[4:-4].decode() for shift in range(3)]
    return [secret.decode(), secret.hex(), *as_base64]


async def test_no_secret_shows_in_a_table_a_log_line_a_metric_or_what_a_command_prints(
    shell: Shell, database: Any, redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """I10: neither one that was kept, nor one that was refused, nor the key that seals. `reveal` alone shows one."""
    refused_canary = b"canary-refused-77aa01"
    more = {"OPSCONNECT_SEAL_KEY": "file:seal.key", "OPSCONNECT_LOG_LEVEL": "debug"}
    with serving(shell.variables["OPSCONNECT_DATABASE_URL"], redis_url, tmp_path, **more) as api:
        printed = [shell("sources", "register", "asana")]
        with caplog.at_level("DEBUG"):
            refusals = await offer(shell, CANARY, refused_canary)
        assert len(refusals) == 1
        commands = (
            ["sources", "list"],
            ["sources", "show", "asana"],
            ["sources", "show", "asana", "--json"],
            ["config"],
        )
        printed += [shell(*command) for command in commands]
        metrics = api.get("/metrics").text
        told = "\n".join([*refusals, *map(str, printed), metrics, caplog.text, api.log.read_text()])
    table = await everything_in(database)
    assert "asana" in table
    assert "opsconnect_requests_total" in metrics
    assert "file:seal.key" in told
    for secret in (CANARY, refused_canary, KEY.encode(), bytes.fromhex(KEY)):
        for spelling in spellings(secret):
            assert spelling not in table
            assert spelling not in told
    # What was looked for would have been found: it is there, sealed, for whoever has the key.
    assert shell("sources", "reveal", "asana").out == [CANARY.decode()]


def test_the_search_finds_a_secret_however_it_is_written() -> None:
    """So that the story above can fail."""
    for text in (CANARY.decode(), CANARY.hex(), *(base64.b64encode(b"x" * n + CANARY).decode() for n in range(6))):
        assert any(spelling in text for spelling in spellings(CANARY)), text
