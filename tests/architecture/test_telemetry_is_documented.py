"""`docs/operations.md` and the telemetry catalogue say the same, in both directions."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from app.adapters.telemetry import catalog

# A name that somebody logs: `noun.verbed`, at the place where it is logged or handed to whoever logs it.
LOGGED = re.compile(r"""(?:\b_?log\.\w+|\bfailed)\(\s*"([a-z_]+\.[a-z_]+)\"""")

Row = tuple[str, ...]


@pytest.fixture
def tables(repository: Path) -> dict[str, list[Row]]:
    """The tables under "What it shows", by their header cells."""
    section = (repository / "docs" / "operations.md").read_text().partition("\n## What it shows\n")[2]
    found: dict[str, list[Row]] = {}
    for table in re.findall(r"(?:^\|.*\|\n?)+", section.partition("\n## ")[0], re.MULTILINE):
        head, _, *rows = (tuple(line.strip("|").split("|")) for line in table.splitlines())
        found["|".join(cell.strip() for cell in head)] = [tuple(cell.strip() for cell in row) for row in rows]
    return found


def code(names: Iterable[str]) -> str:
    """Names as a cell shows them."""
    return ", ".join(f"`{name}`" for name in names) or "–"


def test_every_span_is_told_with_its_attributes(tables: dict[str, list[Row]]) -> None:
    assert tables["span|kind|what it is|attributes"] == [
        (code([span.name]), span.kind, span.meaning, code(span.attributes)) for span in catalog.SPANS
    ]


def test_every_attribute_is_told(tables: dict[str, list[Row]]) -> None:
    told = tables["attribute|meaning"]
    assert told == [(code([name]), meaning) for name, meaning in catalog.ATTRIBUTES.items()]


def test_every_metric_is_told_with_its_labels(tables: dict[str, list[Row]]) -> None:
    assert tables["metric|type|labels|what it counts"] == [
        (code([metric.name]), metric.type, code(metric.labels), metric.meaning) for metric in catalog.METRICS
    ]


def test_every_log_line_is_told_with_its_fields(tables: dict[str, list[Row]]) -> None:
    assert tables["event|level|what it says|fields"] == [
        (code([event.name]), event.level, event.meaning, code(event.fields)) for event in catalog.LOG_EVENTS
    ]


def test_what_a_process_says_of_its_own_life_is_told_too(tables: dict[str, list[Row]], repository: Path) -> None:
    """Every other name that is logged anywhere, and no name that is not."""
    logged = {
        name for file in (repository / "app").rglob("*.py") for name in LOGGED.findall(file.read_text(encoding="utf-8"))
    }
    told = [row[0].strip("`") for row in tables["event|level|what it says|what to do"]]
    assert sorted(told) == sorted(logged - {event.name for event in catalog.LOG_EVENTS})
