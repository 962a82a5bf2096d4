"""The settings, their documentation and `.env.example` say the same, in both directions."""

import re
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from app.settings import Settings

UNITS = {"_seconds": "seconds", "_bytes": "bytes", "_days": "days"}

ROW = re.compile(
    r"^\| `(?P<name>OPSCONNECT_[A-Z_]+)` \| (?P<default>[^|]*) \| (?P<unit>[^|]*) \| (?P<meaning>[^|]+) \|$",
    re.MULTILINE,
)
LINE = re.compile(r"^# (?P<name>OPSCONNECT_[A-Z_]+)=(?P<default>.*)$", re.MULTILINE)


def defaults() -> dict[str, str]:
    """Every variable with its default as a person writes it; empty: there is none."""
    known = {}
    for name, setting in Settings.model_fields.items():
        assert setting.default is not PydanticUndefined, f"{name} has no default"
        known[f"OPSCONNECT_{name.upper()}"] = "" if setting.default is None else str(setting.default)
    return known


@pytest.fixture
def rows(repository: Path) -> list[re.Match[str]]:
    """The rows of the settings table."""
    found = list(ROW.finditer((repository / "docs" / "operations.md").read_text()))
    assert found, "no settings table in docs/operations.md"
    return found


def test_the_table_lists_every_setting_once_and_nothing_else(rows: list[re.Match[str]]) -> None:
    """In the order of the code, so that the one is easily read beside the other."""
    assert [row["name"] for row in rows] == list(defaults())


def test_the_table_tells_the_defaults(rows: list[re.Match[str]]) -> None:
    """As code where there is one, a dash where there is none."""
    told = {row["name"]: row["default"] for row in rows}
    assert told == {name: f"`{default}`" if default else "–" for name, default in defaults().items()}


def test_the_table_tells_the_unit_that_the_name_says(rows: list[re.Match[str]]) -> None:
    """Units stand in the names of settings; the table must not contradict them."""
    for row in rows:
        unit = next((unit for suffix, unit in UNITS.items() if row["name"].lower().endswith(suffix)), None)
        assert row["unit"] == unit or (unit is None and row["unit"] not in UNITS.values()), row["name"]


def test_the_example_environment_lists_every_setting_with_its_default(repository: Path) -> None:
    """And nothing else."""
    lines = LINE.finditer((repository / ".env.example").read_text())
    assert [(line["name"], line["default"]) for line in lines] == list(defaults().items())


def test_the_example_environment_changes_nothing_as_it_stands(repository: Path) -> None:
    """Copied to `.env`, it is only comments."""
    lines = (repository / ".env.example").read_text().splitlines()
    assert all(not line or line.startswith("#") for line in lines)


def test_the_example_environment_is_understood_when_all_of_it_is_uncommented(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives the very defaults, through the same reader as `.env`."""
    for name in defaults():
        monkeypatch.delenv(name, raising=False)
    uncommented = LINE.sub(r"\g<name>=\g<default>", (repository / ".env.example").read_text())
    file = tmp_path / "environment"
    file.write_text(uncommented)
    assert Settings(_env_file=file) == Settings(_env_file=None)
