"""The documents point at what is there."""

import re
from pathlib import Path

import pytest

LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
PATH = re.compile(r"`((?:app|migrations|tests|docs|deploy)/[\w./-]*\w/?)`")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(document: str) -> set[str]:
    """The anchors that a code host makes of the headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture
def documents(repository: Path) -> dict[Path, str]:
    """Every document of the project."""
    return {place: place.read_text() for place in [*repository.glob("*.md"), *repository.glob("docs/**/*.md")]}


def test_every_link_leads_somewhere(documents: dict[Path, str]) -> None:
    """To a file that is there and, where one is named, to a heading in it."""
    lost = []
    for place, text in documents.items():
        for target, anchor in LINK.findall(FENCE.sub("", text)):
            goal = (place.parent / target).resolve() if target else place
            if not goal.exists() or (anchor and anchor not in anchors(documents.get(goal, ""))):
                lost.append((place.name, target, anchor))
    assert lost == []


def test_every_path_that_is_named_is_there(documents: dict[Path, str], repository: Path) -> None:
    """In code marks. Words in capitals stand for something; what is not there yet is told of without a path."""
    named = {
        (place.name, path)
        for place, text in documents.items()
        for path in PATH.findall(text)
        if not re.search(r"NAME|TECHNOLOGY", path)
    }
    assert len(named) > 10
    assert {(name, path) for name, path in named if not (repository / path).exists()} == set()


def test_every_decision_is_in_the_index_once(documents: dict[Path, str], repository: Path) -> None:
    """In order, numbered without a gap, each with the same five parts."""
    folder = repository / "docs" / "adr"
    records = sorted(place.name for place in folder.glob("[0-9]*.md"))
    assert [record[:4] for record in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    assert re.findall(r"^\| \d+ \| \[.*\]\((.*)\) \|$", documents[folder / "README.md"], re.MULTILINE) == records
    for record in records:
        parts = re.findall(r"^## (.*)$", documents[folder / record], re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequences", "Alternatives", "The check"], record
