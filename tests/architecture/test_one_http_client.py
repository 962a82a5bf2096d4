"""Nothing in the app calls others by HTTP but the guarded client: the linter, as it is configured, refuses it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CLIENTS = ["aiohttp", "httpx", "httpx2", "requests", "urllib3", "http.client", "urllib.request"]
WAYS = [f"import {name}" for name in CLIENTS] + [
    "import http.client as c",
    "from http import client",
    "from http.client import HTTPSConnection",
    "from urllib.request import urlopen",
    "from aiohttp import ClientSession",
]


def refused(repository: Path, path: str) -> list[int]:
    """The lines that ruff refuses in a file of that path which imports every client in every way."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "--output-format=json",
        f"--stdin-filename={path}",
        "-",
    ]
    checked = subprocess.run(
        command, cwd=repository, input="\n".join(WAYS), capture_output=True, text=True, check=False
    )
    return sorted({found["location"]["row"] for found in json.loads(checked.stdout) if found["code"] == "TID251"})


@pytest.mark.parametrize(
    "path", ["app/core/use_cases/x.py", "app/adapters/connectors/http.py", "app/adapters/telemetry/x.py", "app/cli.py"]
)
def test_every_other_client_is_refused(repository: Path, path: str) -> None:
    assert refused(repository, path) == list(range(1, len(WAYS) + 1))


@pytest.mark.parametrize("path", ["app/adapters/outgoing/client.py", "app/adapters/telemetry/otlp_sender.py"])
def test_two_places_are_exempt(repository: Path, path: str) -> None:
    """The guarded client itself, and the sender to the operator's own collector."""
    assert refused(repository, path) == []


def test_urls_may_be_read_everywhere(repository: Path) -> None:
    """Only calling is kept to one place: the standard library's readers are no clients."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "--select=TID251",
        "--stdin-filename=app/core/x.py",
        "-",
    ]
    text = "from http import HTTPStatus\nfrom urllib.parse import urlsplit\n"
    assert subprocess.run(command, cwd=repository, input=text, text=True, check=False).returncode == 0
