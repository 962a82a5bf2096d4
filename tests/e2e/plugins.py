"""Packages with connectors, installed for one process alone."""

import os
from pathlib import Path

from tests.e2e.api import ROOT


def installed(folder: Path, name: str, module: str) -> dict[str, str]:
    """Leave what an installer leaves in a folder; give the variables of a process that finds it."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[opsconnect.connectors]\n{name} = {module}:make\n")
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
