"""How a source says what its payloads must look like: a JSON Schema, written out where it is used."""

import json
from collections.abc import Callable, Mapping

from app.core.domain.document import Part, kind

FILE = "file:"
"""How a schema in a file of its own is named. Whoever applies a document puts the schema in place of that name."""

SchemaFault = Callable[[str], str | None]
"""Judges a schema, given as JSON text: what is wrong with it, or None."""


def read_schema(part: Part, schema_fault: SchemaFault) -> str | None:
    """Read a JSON Schema; give it as JSON text, the same for the same schema."""
    if isinstance(part.value, str) and part.value.startswith(FILE):
        part.fault(
            "names a file, which only `opsconnect apply` can read, where the file is: apply it there, "
            "or write the schema out in place of the name"
        )
        return None
    if not isinstance(part.value, Mapping):
        part.fault(f"must be a JSON Schema, as in {{type: object}}, or {FILE}PATH; this is {kind(part.value)}")
        return None
    try:
        text = json.dumps(part.value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        part.fault("is no JSON: it holds a number without an end, or is nested too deep")
        return None
    if fault := schema_fault(text):
        part.fault(fault)
        return None
    return text
