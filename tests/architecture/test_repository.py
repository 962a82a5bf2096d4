"""What holds for the repository as a whole."""

import re
import subprocess
from pathlib import Path

import pytest

LONGEST_FILE = 500

# Ports without a suite of their own, each for a reason.
NO_SUITE = {
    "event_reader": "it sees what a store kept, and is asked in that store's suite (test_event_store)",
    "job_telemetry": "one real adapter, as of telemetry; what it makes of records has suites of its own",
    "probe": "one question without state; the stories of tests/e2e/test_faults.py ask it",
    "telemetry": "one real adapter; its spans, metrics and lines have suites of their own",
}

# In pieces, so that this file does not hold what it looks for.
REGISTRIES = ["pypi" + ".org", "python" + "hosted", "docker" + ".io", "ghcr" + ".io", "quay" + ".io", "gcr" + ".io"]
SECRETS = {
    "a private key": "-----BEGIN [A-Z ]*PRIVATE" + " KEY-----",
    "a cloud access key": r"\bAK" + r"IA[0-9A-Z]{16}\b",
    "a token of a code host": r"\bgh" + r"[pousr]_[A-Za-z0-9]{36}|\bgithub" + r"_pat_\w{22}|\bgl" + r"pat-[\w-]{20}",
    "a live key of a payment provider": r"\b[sr]k" + r"_live_[A-Za-z0-9]{16}",
    "a token of a chat": r"\bxo" + r"x[abprs]-[A-Za-z0-9-]{10}",
    "a signed token": r"\bey" + r"J[\w-]{10,}\.ey" + r"J[\w-]{10,}\.",
}
# Signed requests as their providers publish them: the tokens in them are part of what is tested.
PUBLISHED = ("tests/vectors/vectors.json",)
# A placeholder is in capitals, or in the braces of a template.
PASSWORD = r"\b(?:postgres(?:ql)?|rediss?|amqp|https?)://[^\s/:@'\"`{]*:(?![A-Z_*]+@)[\w.~%+-]+@"


@pytest.fixture(scope="module")
def files(repository: Path) -> dict[str, str]:
    """Every file that is or could be committed, by its path; what is not text is left out."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=repository, check=True, capture_output=True).stdout.decode().split("\0")
    texts = {}
    for path in filter(None, listed):
        place = repository / path
        if place.is_file() and b"\0" not in (content := place.read_bytes()):
            texts[path] = content.decode()
    return texts


def test_no_file_of_the_app_is_long(files: dict[str, str]) -> None:
    """Who needs more than 500 lines has two subjects."""
    lengths = {path: text.count("\n") for path, text in files.items() if path.startswith("app/")}
    assert lengths
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_file_names_a_package_or_image_registry(files: dict[str, str]) -> None:
    """Where packages and images come from is the business of each machine's own configuration."""
    named = {(path, host) for path, text in files.items() for host in REGISTRIES if host in text}
    assert named == set()


def test_the_lock_names_no_host(files: dict[str, str]) -> None:
    """No package in it comes from an address of its own."""
    lock = files["poetry.lock"]
    assert "[package.source]" not in lock
    assert re.findall(r"^(?:url|reference) = .*$", lock, re.MULTILINE) == []
    assert re.findall(r"\{url = .*$", lock, re.MULTILINE) == []


def test_no_file_holds_what_looks_like_a_key(files: dict[str, str]) -> None:
    """Not even a made-up one: whoever looks for real ones must not have to tell them apart."""
    found = {
        (path, kind, match[0])
        for path, text in files.items()
        if path not in PUBLISHED
        for kind, pattern in SECRETS.items()
        for match in re.finditer(pattern, text)
    }
    assert found == set()


def test_no_url_outside_the_tests_holds_a_password(files: dict[str, str]) -> None:
    """Tests need canaries; anything else takes its passwords from its surroundings."""
    code = {path: text for path, text in files.items() if not path.startswith("tests/")}
    found = {(path, match[0]) for path, text in code.items() for match in re.finditer(PASSWORD, text)}
    assert found == set()


def test_every_port_has_a_conformance_suite(repository: Path) -> None:
    """Or a reason why not."""
    ports = {port.stem for port in (repository / "app/core/ports").glob("*.py")} - {"__init__"}
    suites = {suite.stem.removeprefix("test_") for suite in (repository / "tests/conformance").glob("test_*.py")}
    assert set(NO_SUITE) <= ports
    assert suites <= ports
    assert ports - suites == set(NO_SUITE)
