"""A whole document: its sources and connections, and what they need of each other and of what was applied before."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from app.core.catalog.source_grammar import read_source
from app.core.domain.connection import Connection
from app.core.domain.connection_grammar import SettingsFault, read_connection
from app.core.domain.connector import Described
from app.core.domain.document import Document, Findings, Part
from app.core.domain.run_grammar import Runnable, lost, runnable
from app.core.domain.schema_grammar import SchemaFault
from app.core.domain.secret_grammar import SecretFault
from app.core.domain.source import Source

KEYS = ("sources", "connections")
LATER = {"flows": "flows are not in this version: leave this part out"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Judges:
    """What a document is judged by, besides its own grammar."""

    connectors: Mapping[str, Described]
    secret_fault: SecretFault
    schema_fault: SchemaFault
    settings_fault: SettingsFault


class Wanted(NamedTuple):
    """What a document wants to exist, in its order."""

    sources: list[Source]
    connections: list[Connection]


def read_document(
    document: Document, judges: Judges, sources: Iterable[Source] = (), connections: Iterable[Connection] = ()
) -> Wanted:
    """Read a document, beside what was applied before. Raises `Invalid` with every fault."""
    findings = Findings(document)
    top = Part(document.values, (), findings)
    keys = top.mapping(KEYS, later=LATER)
    if keys is not None and not keys:
        top.fault("has neither sources nor connections: there is nothing to apply")
    source_items = list(_items(keys, "sources"))
    connection_items = list(_items(keys, "connections"))
    there = runnable(((one.name, one.connector) for one in connections), judges.connectors)
    there |= _named_here(connection_items, judges.connectors)
    wanted = Wanted(
        _sound(source_items, lambda item: read_source(item, judges.secret_fault, judges.schema_fault, there)),
        _sound(
            connection_items,
            lambda item: read_connection(item, judges.connectors, judges.secret_fault, judges.settings_fault),
        ),
    )
    _spare_what_stays(sources, source_items, connection_items, there)
    findings.raise_if_any()
    return wanted


def _items(keys: Mapping[str, Part] | None, kind: str) -> Iterator[Part]:
    """Go through one kind, and complain of names that are given twice."""
    if keys is None or kind not in keys:
        return
    first: dict[str, int] = {}
    for number, item in enumerate(keys[kind].items(f"begin each {kind.removesuffix('s')} with - name: NAME")):
        name = _text(item, "name")
        if name is not None and first.setdefault(name, number) != number:
            item.fault(f"is the name of {kind}[{first[name]}] already; names are given once", "name")
        yield item


def _sound(items: Iterable[Part], read: Callable[[Part], T | None]) -> list[T]:
    return [found for item in items if (found := read(item)) is not None]


def _named_here(items: Iterable[Part], connectors: Mapping[str, Described]) -> dict[str, Runnable]:
    """Say what the document's own connections can be asked, even where something else is wrong with them."""
    return {
        name: connectors.get(_text(item, "connector") or "")
        for item in items
        if (name := _text(item, "name")) is not None
    }


def _spare_what_stays(
    sources: Iterable[Source], source_items: Iterable[Part], items: Iterable[Part], there: Mapping[str, Runnable]
) -> None:
    """Complain of a connection that becomes another connector's, which cannot do what a source that stays runs."""
    here = {_text(item, "name") for item in source_items}
    by_name = {_text(item, "name"): item for item in items}
    for source in sources:
        if source.run is None or source.name in here or not lost(source.run, there):
            continue
        item = by_name.get(source.run.partition(".")[0])
        if item is not None:
            item.fault(
                f"cannot do what source {source.name} runs ({source.run}): apply that source with it", "connector"
            )


def _text(item: Part, key: str) -> str | None:
    value = item.value.get(key) if isinstance(item.value, Mapping) else None
    return value if isinstance(value, str) else None
