"""A start is a second, and every library that nobody needs yet makes it longer."""

import subprocess
import sys
from pathlib import Path

LATER = ("aiohttp", "app.core.catalog.schemes.keys", "jsonschema_rs")
"""Loaded when something is first sent, a certificate is first checked, a payload is first judged."""


def test_a_start_loads_nothing_that_waits_for_its_first_use(repository: Path) -> None:
    script = f"import sys, app.infra.serving; print(*(name for name in {LATER!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
