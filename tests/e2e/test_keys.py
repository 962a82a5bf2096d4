"""Keys and the audit log through the real process: given out, used, taken back; what was done stays written down."""

import asyncio
import json
from typing import Any

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner

from app.cli import cli
from tests.conftest import Servers
from tests.e2e.api import CLIENT, Api, until
from tests.e2e.test_refusals import genuine, keep


def ask(api: Api, key: str, method: str, path: str, content: Any = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return CLIENT.request(method, f"{api.url}/api/v1{path}", headers=headers, json=content)


def done(api: Api, *arguments: str) -> list[str]:
    """Run a command that succeeds."""
    answer = api.cli(*arguments)
    assert (answer.returncode, answer.stderr) == (0, "")
    return answer.stdout.splitlines()


def written_down(api: Api) -> list[tuple[str, str, str]]:
    entries = reversed(api.get("/api/v1/audit").json()["items"])
    return [(entry["actor"], entry["action"], entry["target"]) for entry in entries]


def test_a_key_is_given_out_used_within_its_scope_and_taken_back_everywhere(api: Api) -> None:
    """Created and revoked by commands, in other processes than the one that serves."""
    refusal = genuine()
    keep(api, refusal)
    said = done(api, "keys", "create", "reader", "--scope", "read", "--expires", "90d")
    assert said[0].startswith("Created reader, for scope read, until 20")
    reading = said[-1]

    assert ask(api, reading, "GET", "/refusals").status_code == 200
    refused = ask(api, reading, "POST", f"/refusals/{refusal.id}/release")
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert refused.json()["needed_scope"] == "operate"
    for path in ("/keys", "/audit"):
        assert ask(api, reading, "GET", path).json()["needed_scope"] == "admin"
    assert ask(api, reading[:-1] + "_", "GET", "/refusals").status_code == 401

    created = api_created(api, "operator", "operate")
    released = ask(api, created["key"], "POST", f"/refusals/{refusal.id}/release")
    assert released.json()["state"] == "released"
    (entry,) = api.get("/api/v1/audit?action=refusal.release").json()["items"]
    assert (entry["actor"], entry["target"]) == ("key:operator", refusal.id)
    assert entry["details"] == {"source": "demo", "code": "signature_mismatch"}
    lines = [line for line in api.lines("request.answered") if line["path"].endswith("/release")]
    assert entry["trace_id"] in {line["trace_id"] for line in lines}

    listed = {key["name"]: key for key in api.get("/api/v1/keys").json()["items"]}
    assert {name: key["state"] for name, key in listed.items()} == {"reader": "valid", "operator": "valid"}
    until(lambda: all(key["last_used_at"] for key in api.get("/api/v1/keys").json()["items"]), 5, "the uses")

    assert done(api, "keys", "revoke", "reader") == [
        f"Revoked reader ({reading[:11]}…); within 5 seconds nobody takes it any more."
    ]
    until(lambda: ask(api, reading, "GET", "/refusals").status_code == 401, 5, "the end of the key")
    revoked = ask(api, created["key"], "DELETE", f"/keys/{created['id']}")
    assert revoked.status_code == 403
    assert api_revoked(api, created["id"])["state"] == "revoked"
    assert ask(api, created["key"], "GET", "/refusals").status_code == 401
    lines_of_list = done(api, "keys", "list")
    assert [line.split()[1:5] for line in lines_of_list] == [
        ["reader", f"{reading[:11]}…", "read", "revoked"],
        ["operator", f"{created['prefix']}…", "operate", "revoked"],
    ]
    actors = [actor.partition(":")[0] for actor, _, _ in written_down(api)]
    assert actors == ["cli", "admin", "key", "cli", "admin"]
    assert [entry[1:] for entry in written_down(api)] == [
        ("key.create", "reader"),
        ("key.create", "operator"),
        ("refusal.release", refusal.id),
        ("key.revoke", "reader"),
        ("key.revoke", "operator"),
    ]
    said_anywhere = api.log.read_text() + json.dumps(api.get("/api/v1/audit").json()) + "".join(lines_of_list)
    assert reading not in said_anywhere
    assert created["key"] not in said_anywhere


def api_created(api: Api, name: str, scope: str, **more: Any) -> dict[str, Any]:
    answer = ask(api, admin(api), "POST", "/keys", {"name": name, "scope": scope, **more})
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    content: dict[str, Any] = answer.json()
    return content


def api_revoked(api: Api, key_id: str) -> dict[str, Any]:
    content: dict[str, Any] = ask(api, admin(api), "DELETE", f"/keys/{key_id}").json()
    return content


def admin(api: Api) -> str:
    return api.environment["OPSCONNECT_ADMIN_KEY"]


def test_a_bad_wish_for_a_key_or_for_entries_is_answered_clearly(api: Api) -> None:
    api_created(api, "taken", "read", expires_at="2999-01-01T00:00:00Z")
    for wish in (
        {},
        {"name": "x", "scope": "root"},
        {"name": "taken", "scope": "read"},
        {"name": "X", "scope": "read"},
        {"name": "x", "scope": "read", "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "x", "scope": "read", "expires_at": "tomorrow"},
        {"name": "x", "scope": "read", "expire_at": "2999-01-01T00:00:00Z"},
    ):
        answer = ask(api, admin(api), "POST", "/keys", wish)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), wish
        assert answer.json()["errors"], wish
    assert ask(api, admin(api), "DELETE", "/keys/nothing").json()["code"] == "unknown_key"
    for query in ("cursor=x", "cursor=-1", "cursor=9999999999999999999", "limit=0"):
        assert api.get(f"/api/v1/audit?{query}").status_code == 422, query
    assert [key["name"] for key in api.get("/api/v1/keys").json()["items"]] == ["taken"]


def test_entries_are_listed_newest_first_page_by_page_and_by_every_filter(api: Api) -> None:
    for name in ("a", "b", "c"):
        api_created(api, name, "read")
    seen: list[str] = []
    cursor = ""
    while True:
        page = api.get(f"/api/v1/audit?limit=2{cursor}").json()
        seen += [entry["target"] for entry in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ["c", "b", "a"]
    for query, count in (("target=b", 1), ("actor=admin", 3), ("action=key.revoke", 0), ("target=%00", 0)):
        assert len(api.get(f"/api/v1/audit?{query}").json()["items"]) == count, query


def test_what_a_superuser_changes_in_the_log_is_found(
    api: Api, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain is verified by a command, which says where it ends to be right."""
    for name in ("a", "b", "c"):
        api_created(api, name, "read")
    commands = Commands(api, monkeypatch)
    assert [line.split()[2:5] for line in done(api, "audit", "list", "--action", "key.create")] == [
        ["admin", "key.create", name] for name in ("c", "b", "a")
    ]
    intact = commands("audit", "verify")
    assert (intact.exit_code, intact.output.splitlines()[0]) == (0, "3 entries, as they were written.")
    noted = json.loads(commands("audit", "verify", "--json").output)["head"]
    assert commands("audit", "verify", "--noted", noted).exit_code == 0

    name = api.database_url.rpartition("/")[2]
    meddle(servers, name, "DELETE FROM audit_log WHERE seq = 3")
    assert commands("audit", "verify").exit_code == 0
    cut = commands("audit", "verify", "--noted", noted)
    assert (cut.exit_code, "entry 3 is not the one that was noted" in cut.output) == (1, True)

    meddle(servers, name, "UPDATE audit_log SET actor = 'key:bob' WHERE seq = 2")
    found = api.cli("audit", "verify")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == (
        "error  audit log: entry 2 is not as it was written, or does not follow the one before it; "
        "up to entry 1 it is as it was written\n"
    )
    assert json.loads(commands("audit", "verify", "--json").stdout)["intact"] is False


def meddle(servers: Servers, database: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(servers.postgres.superuser_url(database))
        await connection.execute(f"SET session_replication_role = replica; {statement}")
        await connection.close()

    asyncio.run(run())


class Commands:
    """Runs commands in this process, which is sooner than in one of their own."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPSCONNECT_DATABASE_URL", api.database_url)

    def __call__(self, *arguments: str) -> Any:
        return CliRunner().invoke(cli, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["keys", "create", "Ünfit", "--scope", "read"], "error  name: is no name for a key: "),
        (["keys", "create", "x", "--scope", "read", "--expires", "soon"], "error  --expires: 'soon' is no time "),
        (["keys", "create", "x", "--scope", "read", "--expires", "0d"], "error  --expires: '0d' is no time from now"),
        (["keys", "revoke", "nobody"], "error  nobody: no key has this id or name; 'opsconnect keys list' lists "),
        (["audit", "verify", "--noted", "1:ab"], "error  --noted: is no SEQ:HASH as "),
        (["audit", "verify", "--noted", "x"], "error  --noted: is no SEQ:HASH as "),
    ],
)
def test_what_fails_says_why_in_one_line(
    api: Api, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    answer = Commands(api, monkeypatch)(*arguments)
    assert (answer.exit_code, answer.stdout, answer.stderr.count("\n")) == (1, "", 1)
    assert answer.stderr.startswith(line)


def test_with_nothing_there_it_says_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands(api, monkeypatch)
    assert commands("keys", "list").output == "No keys. 'opsconnect keys create NAME --scope read' makes one.\n"
    assert commands("audit", "list").output == "Nothing was done yet.\n"
    assert commands("audit", "list", "--actor", "admin").output == "No entries match.\n"
    assert commands("audit", "verify").output.startswith("0 entries, as they were written.\n")
    for arguments in (["keys", "create", "x"], ["keys", "create", "x", "--scope", "root"], ["keys", "revoke"]):
        assert commands(*arguments).exit_code == 2
