"""What every store of secrets keeps to, alone, behind the dispatcher and behind the cache."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.adapters.memory.registrations import MemoryRegistrations
from app.adapters.sealing.aes_gcm import AesGcmSealing
from app.adapters.secrets.environment import EnvironmentSecrets
from app.adapters.secrets.file import FileSecrets
from app.adapters.secrets.handshake import HandshakeSecrets
from app.adapters.secrets.references import ReferencedSecrets
from app.core.domain.errors import SecretMissing
from app.core.domain.registration import PURPOSE
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
    all: tuple[bytes, ...] = (SECRET,)


def environment(_: Path) -> Subject:
    secret = SECRET.replace(b"\0", b"")  # no variable can hold a NUL
    variables = {"THERE": secret.decode("utf-8", "surrogateescape"), "EMPTY": ""}
    malformed = ["env:", "env:A-B", "env:1A", "env:A B", "env:A=canary", "env:Ä", "ENV:A"]
    return Subject(EnvironmentSecrets(variables), "env:THERE", "env:ABSENT", "env:EMPTY", malformed, (secret,))


def file(folder: Path) -> Subject:
    (folder / "there").write_bytes(SECRET)
    (folder / "empty").write_bytes(b"")
    malformed = ["file:", "file:~/canary", "file:a\0b", "file:a\nb", "FILE:a", f"file:{'a' * 5000}"]
    return Subject(FileSecrets(folder), "file:there", "file:absent", "file:empty", malformed)


def handshake(_: Path) -> Subject:
    """With an older secret beside it, and a source that still waits for one."""
    registrations = MemoryRegistrations()
    sealing = AesGcmSealing(["env:KEY"], EnvironmentSecrets({"KEY": "0f" * 32}))

    async def keep() -> None:
        for secret in (b"older", SECRET):
            await registrations.open("there")
            await registrations.keep("there", await sealing.seal(secret, purpose=PURPOSE, owner="there"))
        await registrations.open("empty")

    asyncio.run(keep())
    malformed = [
        "handshake:",
        "handshake:A",
        "handshake:a b",
        "handshake:canary/1",
        "HANDSHAKE:a",
        f"handshake:{'a' * 64}",
    ]
    store = HandshakeSecrets(registrations, sealing)
    return Subject(store, "handshake:there", "handshake:absent", "handshake:empty", malformed, (SECRET, b"older"))


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
    "handshake": handshake,
    "referenced environment": lambda folder: dispatched(environment(folder)),
    "referenced file": lambda folder: dispatched(file(folder)),
    "referenced handshake": lambda folder: dispatched(handshake(folder)),
    "cached environment": lambda folder: cached(environment(folder)),
    "cached file": lambda folder: cached(dispatched(file(folder))),
    "cached handshake": lambda folder: cached(dispatched(handshake(folder))),
}


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    return SUBJECTS[request.param](tmp_path)


async def test_a_secret_is_given_byte_by_byte_each_time(subject: Subject) -> None:
    for _ in range(2):
        assert await subject.store.resolve(subject.there) == subject.all[0]


async def test_every_secret_of_a_reference_is_given_the_newest_first(subject: Subject) -> None:
    for _ in range(2):
        assert await subject.store.resolve_all(subject.there) == subject.all


async def test_an_absent_or_empty_secret_is_missing_and_the_text_says_which_and_what_to_do(subject: Subject) -> None:
    for reference in (subject.absent, subject.empty):
        assert subject.store.fault(reference) is None
        for _ in range(2):
            for resolve in (subject.store.resolve, subject.store.resolve_all):
                with pytest.raises(SecretMissing, match=rf"{reference} .*[:;] (put|start|run|create) "):
                    await resolve(reference)


async def test_a_malformed_reference_has_a_fault_and_is_never_quoted(subject: Subject) -> None:
    assert subject.store.fault(subject.there) is None
    for reference in subject.malformed:
        fault = subject.store.fault(reference)
        assert fault
        for resolve in (subject.store.resolve, subject.store.resolve_all):
            with pytest.raises(SecretMissing) as missing:
                await resolve(reference)
            assert "canary" not in f"{fault} {missing.value}"
