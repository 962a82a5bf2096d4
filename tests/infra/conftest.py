"""A data folder on which the servers were before: most stories are not about the making of it."""

from pathlib import Path

import pytest

from tests.conftest import copy_of


@pytest.fixture
def data(made_folder: Path, tmp_path: Path) -> Path:
    """Such a folder, of the test's own."""
    copy_of(made_folder, tmp_path / "data")
    return tmp_path / "data"
