"""Every vector there is, published or made by us, and what it takes to ask the catalogue about it."""

import json
from pathlib import Path
from typing import Any

from app.core.catalog.catalogue import find
from app.core.catalog.provider import Provider, Scheme

FOLDER = Path(__file__).parents[2] / "vectors"
SHARED: list[dict[str, Any]] = json.loads((FOLDER / "vectors.json").read_text())
GENERATED: list[dict[str, Any]] = json.loads((FOLDER / "generated.json").read_text())
HANDSHAKES: list[dict[str, Any]] = json.loads((FOLDER / "handshakes.json").read_text())
ALL = [*SHARED, *GENERATED]


def row_of(vector: dict[str, Any]) -> tuple[Provider, Scheme]:
    provider = find(vector["provider"])
    assert provider is not None, vector["provider"]
    scheme = provider.scheme(vector["scheme"])
    assert scheme is not None, vector["scheme"]
    return provider, scheme
