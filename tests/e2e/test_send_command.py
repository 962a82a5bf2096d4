"""`opsconnect send` against the real process: what a provider would send is kept, once, and what is forged is not."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from app.core.catalog.catalogue import find
from app.core.catalog.credentials import credentials_of
from app.core.catalog.proof import Genuine, SignedRequest
from app.core.catalog.verifying import prepare
from tests.e2e.api import Api
from tests.e2e.conftest import configure, rows
from tests.e2e.sender import SECRET

GITHUB = {"name": "shop", "provider": "github", "secrets": ["env:DEMO_SECRET"]}
STRIPE = {"name": "till", "provider": "stripe", "secrets": ["env:DEMO_SECRET"]}


@pytest.fixture
def shop(api: Api) -> Api:
    configure(api.database_url, GITHUB, STRIPE)
    return api


def send(api: Api, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return api.cli("send", "github", "--to", f"{api.url}/api/v1/webhooks/shop", *arguments)


async def test_a_sample_is_kept_with_its_id_and_the_type_that_was_asked_for(shop: Api) -> None:
    done = send(shop, "--secret", SECRET, "--event", "push", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (told,) = json.loads(done.stdout)["deliveries"]
    assert (told["status"], told["what"], told["event_type"]) == (202, "sent", "push")
    event = shop.get(f"/api/v1/events/{told['event_id']}").json()
    assert (event["delivery_key"], event["type"]) == (told["delivery_id"], "push")
    assert event["body"]["repository"]["full_name"] == "example/shop"


async def test_each_is_kept_once_though_it_is_sent_twice(shop: Api) -> None:
    done = send(shop, "--secret", "env:DEMO_SECRET", "--count", "5", "--duplicate")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert sorted(line.split()[0] + line.split()[3] for line in lines[:10]) == ["200duplicate"] * 5 + ["202sent"] * 5
    assert lines[-1].startswith("5 sent, 5 duplicate: 5 × 200, 5 × 202. p50 ")
    assert len(await rows(shop.database_url, "SELECT id FROM events")) == 5


async def test_what_was_tampered_with_is_refused_and_that_is_right(shop: Api) -> None:
    (shop.log.parent / "secret").write_text(SECRET + "\n")
    done = send(shop, "--secret", "file:secret", "--tamper", "--count", "2")
    assert done.returncode == 0, done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines()[:2]] == ["401", "401"]
    assert "signature_mismatch" in done.stdout
    assert await rows(shop.database_url, "SELECT id FROM events") == []


async def test_a_wrong_secret_is_refused_and_that_is_not_right(shop: Api) -> None:
    done = send(replace(shop, more={**shop.more, "OPSCONNECT_SEND_SECRET": "wrong"}))
    assert done.returncode == 1
    assert done.stdout.startswith("401")


@pytest.mark.parametrize(("age", "exit_code", "start"), [("200", 0, "202"), ("400", 1, "401")])
async def test_what_was_signed_long_ago_is_too_old(shop: Api, age: str, exit_code: int, start: str) -> None:
    done = shop.cli("send", "stripe", "--to", f"{shop.url}/api/v1/webhooks/till", "--secret", SECRET, "--age", age)
    assert done.returncode == exit_code, done.stdout
    assert done.stdout.startswith(start)
    assert ("timestamp_too_old" in done.stdout) is bool(exit_code)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["github", "--to", "http://127.0.0.1:9/"], "error  --secret: say what to sign with: --secret, as itself,"),
        (["gihtub", "--to", "http://127.0.0.1:9/"], "error  gihtub: the catalogue has no provider of this name; did"),
        (["github", "--to", "x", "--secret", "s"], "error  url: must begin with https:// (or http://) and a host"),
        (["github", "--to", "http://h", "--secret", "s", "--scheme", "x"], "error  --scheme: github has github"),
        (["github", "--to", "http://h", "--secret", "s", "--setting", "x"], "error  --setting: must be NAME=VALUE"),
        (["github", "--to", "http://h", "--secret", "env:NO"], "error  env:NO is not set: start this process with"),
        (
            ["github", "--to", "http://h", "--secret", "s", "--body", "none"],
            "error  none: cannot be read: No such file",
        ),
        (
            ["github", "--to", "http://h", "--key", "k"],
            "error  --key: github signs with a shared secret: give --secret",
        ),
        (["discord", "--to", "http://h", "--secret", "s"], "error  --secret: discord signs with a private key: give"),
        (
            ["telegram", "--to", "http://h", "--secret", "s", "--event", "x"],
            "error  telegram: this type cannot be given",
        ),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_1(tmp_path: Path, arguments: list[str], line: str) -> None:
    done = Api("", None, tmp_path / "log").cli("send", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["--count", "0"], ["--rate", "0"], ["--age", "x"], ["--no-such"]])
def test_wrong_usage_exits_with_2(tmp_path: Path, arguments: list[str]) -> None:
    done = Api("", None, tmp_path / "log").cli("send", "github", "--to", "http://h", *arguments)
    assert done.returncode == 2
    assert "Error: " in done.stderr


def test_who_is_not_there_is_told_of_line_by_line(tmp_path: Path) -> None:
    done = Api("", None, tmp_path / "log").cli("send", "github", "--to", "http://127.0.0.1:9/", "--secret", "s")
    assert done.returncode == 1
    assert "127.0.0.1:9 cannot be reached" in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[-1].startswith("1 sent: 1 × no answer.")


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[SignedRequest]]]:
    """Somebody who takes everything, and what was taken."""
    taken: list[SignedRequest] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
            taken.append(SignedRequest("POST", url + self.path.removeprefix("/in"), headers, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    url = f"http://127.0.0.1:{server.server_port}/in"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield url, taken
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_key_is_made_once_and_what_it_signs_fits_what_the_source_was_told(
    tmp_path: Path, receiver: tuple[str, list[SignedRequest]]
) -> None:
    url, taken = receiver
    shell = Api("", None, tmp_path / "log")
    first = shell.cli("send", "discord", "--to", url, "--key", "discord.pem")
    assert first.returncode == 0, first.stderr
    key = tmp_path / "discord.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    document = first.stdout[first.stdout.index("sources:") :].split("\n\n")[0]
    (source,) = YAML(typ="safe").load(document)["sources"]
    assert source["secrets"] == [f"file:{tmp_path / 'discord.pem.pub'}"]
    public = (tmp_path / "discord.pem.pub").read_text().strip()
    again = shell.cli("send", "discord", "--to", url, "--key", "discord.pem")
    assert "sources:" not in again.stdout
    discord = find("discord")
    assert discord is not None
    verify = prepare(discord.schemes[0], credentials_of("discord", key=public))
    assert [isinstance(verify(request, None), Genuine) for request in taken] == [True, True]


def test_a_key_that_is_not_kept_is_told_too(tmp_path: Path, receiver: tuple[str, list[SignedRequest]]) -> None:
    done = Api("", None, tmp_path / "log").cli("send", "wise", "--to", receiver[0])
    assert done.returncode == 0, done.stderr
    assert "-----BEGIN PUBLIC KEY-----" in done.stdout
    assert 'secrets: ["env:WISE_PUBLIC_KEY"]' in done.stdout


def test_what_goes_into_the_address_arrives_there(tmp_path: Path, receiver: tuple[str, list[SignedRequest]]) -> None:
    url, taken = receiver
    done = Api("", None, tmp_path / "log").cli("send", "brevo", "--to", f"{url}?a=1", "--secret", "t o")
    assert done.returncode == 0, done.stderr
    assert taken[0].url == f"{url}?a=1&token=t%20o"


def test_a_secret_that_is_no_ascii_arrives_as_it_is(tmp_path: Path, receiver: tuple[str, list[SignedRequest]]) -> None:
    url, taken = receiver
    done = Api("", None, tmp_path / "log").cli("send", "telegram", "--to", url, "--secret", "schlüssel")
    assert done.returncode == 0, done.stdout
    assert taken[0].values(b"x-telegram-bot-api-secret-token") == ["schlüssel".encode()]


def test_ctrl_c_ends_with_the_summary(tmp_path: Path, receiver: tuple[str, list[SignedRequest]]) -> None:
    url, _ = receiver
    shell = Api("", None, tmp_path / "log")
    command = [
        sys.executable,
        "-m",
        "app",
        "send",
        "github",
        "--to",
        url,
        "--secret",
        "s",
        "--count",
        "999",
        "--rate",
        "50",
    ]
    with subprocess.Popen(
        command, env={**shell.environment, "PYTHONUNBUFFERED": "1"}, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read().splitlines()
        assert process.wait(20) == 0
    assert first.startswith("204")
    assert rest[-1].split(" sent: ")[1].startswith(rest[-1].split(" ")[0] + " × 204.")
