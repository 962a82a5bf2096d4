"""Schemas in files of their own: read where a document is applied from, so that nobody else needs the files."""

from pathlib import Path

from app.core.domain.document import Document
from app.core.domain.errors import Fault, Invalid
from app.core.domain.schema_grammar import FILE
from app.infra.configuration_file import content_of, parse


def with_schemas(document: Document, folder: Path) -> Document:
    """Put the schema itself wherever a source of the document says `schema: file:PATH`, YAML or JSON.

    Paths that are not absolute are taken from `folder`, which is that of the document. Raises `Invalid` with every
    file that cannot be read.
    """
    values = document.values
    if not isinstance(values, dict) or not isinstance(values.get("sources"), list):
        return document
    faults: list[Fault] = []
    sources = []
    for number, source in enumerate(values["sources"]):
        sources.append(source)
        named = source.get("schema") if isinstance(source, dict) else None
        if isinstance(named, str) and named.startswith(FILE):
            try:
                sources[-1] = {**source, "schema": _schema(folder / named.removeprefix(FILE))}
            except Invalid as invalid:
                where = document.where(("sources", number, "schema"))
                faults += [Fault(where, str(fault)) for fault in invalid.faults]
    if faults:
        raise Invalid(faults)
    return Document({**values, "sources": sources}, document.lines)


def _schema(path: Path) -> object:
    try:
        content = content_of(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Invalid([Fault(str(path), f"cannot be read: {reason}")]) from None
    return parse(content, str(path), begins="a JSON Schema begins with type: object, say").values
