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
