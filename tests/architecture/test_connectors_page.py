"""`docs/connectors.md` says what the connectors say, its examples fit, and the recipe for another one works."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from app.adapters.schemas.json_schema import JsonSchemas
from tests.architecture.connectors_page import COMMAND, PAGE, built_in, page


def test_the_tables_are_those_of_the_connectors() -> None:
    assert PAGE.read_text() == page(), f"a connector has changed: run {COMMAND}"


def test_every_connection_on_the_page_fits_its_connector() -> None:
    documents = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    connectors = {described.name: described for described in built_in()}
    connections = [each for text in documents for each in YAML(typ="safe").load(text).get("connections", [])]
    assert len(connections) >= 5
    for connection in connections:
        described = connectors[connection["connector"]]
        schema = json.dumps(described.settings_schema)
        assert JsonSchemas().fault(schema, connection.get("settings", {})) is None, connection
        assert set(connection.get("secrets", {})) <= set(described.secrets), connection


@pytest.fixture
def recipe(repository: Path, tmp_path: Path) -> Path:
    """A folder with the example, as somebody would write and install it."""
    text = (repository / "CONTRIBUTING.md").read_text().partition("### Add a connector\n")[2].partition("\n### ")[0]
    module, test = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ((group, entry),) = re.findall(r"entry-points\.\"(.*)\"\]\n\s*(.*)\n", text)
    (tmp_path / "shout.py").write_text(module)
    (tmp_path / "test_shout.py").write_text(test)
    metadata = tmp_path / "shout-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shout\nVersion: 1.0\n")
    plain = entry.replace('"', "")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{plain}\n")
    return tmp_path


def test_the_recipe_makes_a_connector_that_passes_its_suite_and_is_found(recipe: Path, repository: Path) -> None:
    """In a process of its own, with nothing of these tests."""
    found = (
        "from app.infra.connectors import find_connectors; from app.adapters.schemas.json_schema import JsonSchemas;"
        "assert 'shout' in find_connectors(None, JsonSchemas())"
    )
    options = ["-c", "/dev/null", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", "-q", "--rootdir", str(recipe)]
    suite = f"import pytest, sys; sys.exit(pytest.main({[*options, str(recipe / 'test_shout.py')]!r}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{found}\n{suite}"],
        cwd=recipe,
        env={"PYTHONPATH": f"{repository}:{recipe}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^1\d passed", done.stdout, re.MULTILINE), done.stdout
