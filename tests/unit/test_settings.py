"""Addresses are judged when the settings are read, and never quoted: a piece of one may be the password."""

import pytest

from app.core.domain.errors import Invalid
from app.settings import load


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:password@host:5432/database",
        "postgres://host/database",
        "postgresql://user@[::1]:5432/database",
        "postgresql://u:p@ss:word@host/db?sslmode=require&application_name=x",
        "postgresql://u:p@one:5432,two:5433/db?target_session_attrs=primary",
        "postgresql:///db?host=/run/postgresql",
    ],
)
def test_addresses_of_postgres_that_the_driver_understands(url: str) -> None:
    assert load(database_url=url).database_url is not None


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("database_url", "mysql://host/x"),
        ("database_url", "postgresql://user:pass/word@host:5432/x"),
        ("database_url", "postgresql://user:pass#word@host:5432/x"),
        ("database_url", "postgresql://user:password@host:port/x"),
        ("redis_url", "http://host"),
        ("redis_url", "redis://:pass/word@host:6379/0"),
        ("redis_url", "redis://host:port/0"),
        ("redis_url", "redis://host:6379/name"),
    ],
)
def test_addresses_that_would_be_misread_are_refused_without_quoting_them(setting: str, url: str) -> None:
    with pytest.raises(Invalid) as caught:
        load(**{setting: url})
    (fault,) = caught.value.faults
    assert fault.where == f"OPSCONNECT_{setting.upper()}"
    assert "word" not in fault.message.replace("PASSWORD", "").replace("in the password", "")


@pytest.mark.parametrize("url", ["redis://host", "rediss://user:p@ss@host:6379/3?ssl_cert_reqs=none", "redis://h:1/"])
def test_addresses_of_redis_that_the_driver_understands(url: str) -> None:
    assert load(redis_url=url).redis_url is not None


@pytest.mark.parametrize("reference", ["env:SEAL_KEY", "file:/run/secrets/seal", "env:NEW, file:old key", ""])
def test_references_to_seal_keys_are_taken(reference: str) -> None:
    assert load(seal_key=reference or None).seal_key == (reference or None)


@pytest.mark.parametrize("value", ["c0ffee" * 10 + "cafe", "env:OLD,c0ffee", "env:OLD,", "env:", "file:", "env:A B"])
def test_a_seal_key_that_is_no_reference_is_refused_without_quoting_it(value: str) -> None:
    """What is there may be the key itself, which no error, log line or `opsconnect config` shows."""
    with pytest.raises(Invalid) as caught:
        load(seal_key=value)
    (fault,) = caught.value.faults
    assert fault.where == "OPSCONNECT_SEAL_KEY"
    assert "never the key itself" in fault.message
    assert "c0ffee" not in fault.message
