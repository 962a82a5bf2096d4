"""The catalogue: every provider that OpsConnect knows, one small file each in `providers`.

A file is read when somebody first asks for its provider; who wants all of them waits some 25 ms, once.
"""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from app.core.catalog.provider import Provider
from app.core.catalog.rows import Malformed, read_provider


def find(name: str) -> Provider | None:
    """Give the provider of a name, in which hyphens and underscores are the same; None: there is none."""
    name = name.replace("-", "_")
    return _provider(name) if name in _files() else None


def providers() -> Sequence[Provider]:
    """Give all of them, by name. Other names of the same provider are left out."""
    return list({provider.name: provider for provider in map(_provider, _files())}.values())


@cache
def _files() -> Mapping[str, Path]:
    return {file.stem: file for file in sorted((Path(__file__).parent / "providers").glob("*.toml"))}


@cache
def _provider(name: str) -> Provider:
    table = _table(name)
    return _provider(str(table["same_as"])) if "same_as" in table else read_provider(name, table, first_scheme)


def first_scheme(name: str) -> Mapping[str, Any]:
    """Give the table of a provider's first scheme, for those that sign alike. Raises `Malformed` for one unknown."""
    schemes: Mapping[str, Mapping[str, Any]] = _table(name)["schemes"]
    return next(iter(schemes.values()))


@cache
def _table(name: str) -> Mapping[str, Any]:
    if name not in _files():
        raise Malformed(f"there is no provider {name}")
    return tomllib.loads(_files()[name].read_text(encoding="utf-8"))
