"""Showing the settings: each with where it comes from, and no secret in any of them."""

from pathlib import Path

import pytest

from app.infra.resolved_settings import MASK, masked, resolved
from app.settings import Settings, load


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("canary", MASK),
        ("postgresql://user:canary@host:5432/db", f"postgresql://user:{MASK}@host:5432/db"),
        ("postgresql://user@host:5432/db", "postgresql://user@host:5432/db"),
        ("postgresql://host:5432/db", "postgresql://host:5432/db"),
        ("redis://:canary@host/0", f"redis://:{MASK}@host/0"),
        # passwords that were not quoted as they should be
        ("postgresql://user:can@canary@host/db", f"postgresql://user:{MASK}@host/db"),
        ("postgresql://user:can/canary?@host/db", f"postgresql://user:{MASK}@host/db"),
        ("postgresql://host/db?password=canary", f"postgresql://host/db?{MASK}"),
        ("postgresql://user:canary@host/db?password=c@nary", f"postgresql://user:{MASK}@nary"),
    ],
)
def test_a_secret_is_masked_and_of_a_url_only_its_secret_parts(secret: str, shown: str) -> None:
    assert masked(secret) == shown
    assert "canary" not in shown


def test_each_setting_says_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("OPSCONNECT_PORT=9000\nOPSCONNECT_HOST=0.0.0.0\nOPSCONNECT_ADMIN_KEY=canary\n")
    environment = {"opsconnect_port": "9001", "OPSCONNECT_LOG_LEVEL": ""}
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    shown = {setting.variable: (setting.value, setting.origin) for setting in resolved(load(), environment)}
    assert shown["OPSCONNECT_PORT"] == (9001, "environment")
    assert shown["OPSCONNECT_HOST"] == ("0.0.0.0", ".env")
    assert shown["OPSCONNECT_ADMIN_KEY"] == (MASK, ".env")
    assert shown["OPSCONNECT_LOG_LEVEL"] == ("info", "default")
    assert shown["OPSCONNECT_REDIS_URL"] == (None, "default")
    assert len(shown) == len(Settings.model_fields)
