"""The catalogue by the command line, which needs nothing, and by the API."""

import json
from pathlib import Path

import pytest

from app.core.catalog.catalogue import providers
from tests.e2e.api import CLIENT, Api

NAMES = [provider.name for provider in providers()]


@pytest.fixture
def shell(tmp_path: Path) -> Api:
    """Only its command line: nothing is started."""
    return Api("", None, tmp_path / "log")


def test_every_provider_is_listed_once_and_whole_for_programs(shell: Api) -> None:
    done = shell.cli("providers", "list")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == NAMES
    assert all(provider.title in line for provider, line in zip(providers(), lines, strict=True))
    assert "\x1b" not in done.stdout
    shown = json.loads(shell.cli("providers", "list", "--json").stdout)
    assert [one["name"] for one in shown] == NAMES
    assert next(one for one in shown if one["name"] == "stripe") == {
        "name": "stripe",
        "title": "Stripe",
        "page": "https://docs.stripe.com/webhooks",
        "scheme": "stripe",
        "coverage": "full",
        "needs": "secret",
        "answer_seconds": 20.0,
    }


def test_one_is_shown_with_what_to_paste_where(shell: Api) -> None:
    done = shell.cli("providers", "show", "azure-eventgrid", "--url", "https://hooks.example.com/")
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "give it    https://hooks.example.com/api/v1/webhooks/azure-eventgrid" in lines
    assert 'secrets: ["env:AZURE_EVENTGRID_SECRET"]' in lines
    assert "covers     the body is not covered" in lines
    assert "answer     any 2xx, within 30 s" in lines


def test_the_address_comes_from_the_setting(shell: Api) -> None:
    shell.more["OPSCONNECT_PUBLIC_URL"] = "https://hooks.example.com"
    shown = json.loads(shell.cli("providers", "show", "twilio", "--json").stdout)
    assert shown["url"] == "https://hooks.example.com/api/v1/webhooks/twilio"
    assert f"public_url: {shown['url']}" in shown["schemes"][0]["source"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("strpie", "error  strpie: the catalogue has no provider of this name; did you mean stripe?"),
        ("qqq", "error  qqq: the catalogue has no provider of this name; 'opsconnect providers list' lists those that"),
        ("\x1b[2J", "error  \\x1b[2J: the catalogue has no provider of this name; "),
    ],
)
def test_a_name_that_is_not_there_is_one_line(shell: Api, name: str, line: str) -> None:
    done = shell.cli("providers", "show", name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == 1


def test_every_provider_can_be_shown_by_both(api: Api, shell: Api) -> None:
    listed = api.get("/api/v1/providers").json()["items"]
    assert [one["name"] for one in listed] == NAMES
    for name in NAMES:
        answer = api.get(f"/api/v1/providers/{name}")
        assert answer.status_code == 200
        assert answer.json()["setup"].endswith(".")
    assert api.get("/api/v1/providers/aws-sns").json() == json.loads(
        shell.cli("providers", "show", "aws_sns", "--json").stdout
    )


def test_what_is_not_there_is_a_problem_and_strangers_are_not_told(api: Api) -> None:
    answer = api.get("/api/v1/providers/nobody")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_provider")
    assert CLIENT.get(f"{api.url}/api/v1/providers").status_code == 401


def test_what_is_answered_is_what_is_described(api: Api) -> None:
    """Every field of the description is there, and no other."""
    description = api.get("/openapi.json").json()
    for path, schema, one in [
        ("/api/v1/providers", "ProviderSummary", api.get("/api/v1/providers").json()["items"][0]),
        ("/api/v1/providers/{name}", "ProviderDetail", api.get("/api/v1/providers/gitlab").json()),
    ]:
        assert "get" in description["paths"][path]
        assert set(description["components"]["schemas"][schema]["properties"]) == set(one)
