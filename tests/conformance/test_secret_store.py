"""What every store of secrets keeps to, alone, behind the dispatcher and behind the cache."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.file import FileSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.core.domain.errors import SecretMissing
from app.core.policies.cached_secrets import CachedSecrets
from app.core.ports.secret_store import SecretStore

SECRET = b"\xff\x00 s3cret = \xc3\xa4"


@dataclass
class Subject:
    """A store with `SECRET` in it, and references into it."""

    store: SecretStore
    there: str
    absent: str
    empty: str
    malformed: list[str]


def environment(_: Path) -> Subject:
    # A variable cannot hold a NUL, so this store's secret is written without one.
    variables = {"THERE": SECRET.replace(b"\0", b"").decode("utf-8", "surrogateescape"), "EMPTY": ""}
    malformed = ["env:", "env:A-B", "env:1A", "env:A B", "env:A=canary", "env:Ä", "ENV:A"]
    return Subject(EnvironmentSecrets(variables), "env:THERE", "env:ABSENT", "env:EMPTY", malformed)


def file(folder: Path) -> Subject:
    (folder / "there").write_bytes(SECRET)
    (folder / "empty").write_bytes(b"")
    malformed = ["file:", "file:~/canary", "file:a\0b", "file:a\nb", "FILE:a", f"file:{'a' * 5000}"]
    return Subject(FileSecrets(folder), "file:there", "file:absent", "file:empty", malformed)


def dispatched(subject: Subject) -> Subject:
    subject.store = ReferencedSecrets({subject.there.partition(":")[0]: subject.store})
    subject.malformed += ["", "whsec_canary", "https://canary", "vault:secret/a#b", "other:canary", ":", "\ud800"]
    return subject


def cached(subject: Subject) -> Subject:
    subject.store = CachedSecrets(subject.store)
    return subject


SUBJECTS: dict[str, Callable[[Path], Subject]] = {
    "environment": environment,
    "file": file,
    "referenced environment": lambda folder: dispatched(environment(folder)),
    "referenced file": lambda folder: dispatched(file(folder)),
    "cached environment": lambda folder: cached(environment(folder)),
    "cached file": lambda folder: cached(dispatched(file(folder))),
}


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    return SUBJECTS[request.param](tmp_path)


async def test_a_secret_is_given_byte_by_byte_each_time(subject: Subject) -> None:
    expected = SECRET.replace(b"\0", b"") if subject.there.startswith("env:") else SECRET
    for _ in range(2):
        assert await subject.store.resolve(subject.there) == expected


async def test_an_absent_or_empty_secret_is_missing_and_the_text_says_which_and_what_to_do(subject: Subject) -> None:
    for reference in (subject.absent, subject.empty):
        assert subject.store.fault(reference) is None
        for _ in range(2):
            with pytest.raises(SecretMissing, match=rf"{reference} .*: (put|start)"):
                await subject.store.resolve(reference)


async def test_a_malformed_reference_has_a_fault_and_is_never_quoted(subject: Subject) -> None:
    assert subject.store.fault(subject.there) is None
    for reference in subject.malformed:
        fault = subject.store.fault(reference)
        assert fault
        with pytest.raises(SecretMissing) as missing:
            await subject.store.resolve(reference)
        assert "canary" not in f"{fault} {missing.value}"
