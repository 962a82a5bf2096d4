"""How a connection is written in a document, and everything that can be wrong with one."""

import json
from collections.abc import Callable, Mapping
from difflib import get_close_matches

from app.core.domain.address import entry_fault
from app.core.domain.connection import Connection
from app.core.domain.connector import Described, Json
from app.core.domain.document import Part, kind, nearest, shown
from app.core.domain.mismatch_place import place_in
from app.core.domain.name_grammar import read_name
from app.core.domain.secret_grammar import SecretFault

KEYS = ("name", "connector", "settings", "secrets", "allow_private")
LATER = {"limits": "limits of connections are not in this version: leave this part out"}

SettingsFault = Callable[[str, object], str | None]
"""Judges settings by a JSON Schema, given as text: where and what the first mismatch is, or None."""

_REFERENCE = '"env:NAME" or "file:PATH"'
_HOW_TO_ALLOW = "allow_private: [localhost, 10.1.0.0/16]"


def read_connection(
    part: Part, connectors: Mapping[str, Described], secret_fault: SecretFault, settings_fault: SettingsFault
) -> Connection | None:
    """Read one connection. Faults go to the part's findings; it is worth something only when there are none."""
    keys = part.mapping(KEYS, later=LATER)
    if keys is None:
        return None
    name = read_name(part, keys.get("name"), "sources name a connection by it, as in run: NAME.ACTION", "name: sink")
    connector = _connector(part, keys.get("connector"), connectors)
    allow_private = _allow_private(keys["allow_private"]) if "allow_private" in keys else ()
    if connector is None:
        return None  # what its settings and secrets should be is not known
    settings = _settings(part, keys.get("settings"), connector, settings_fault)
    secrets = _secrets(keys["secrets"], connector, secret_fault) if "secrets" in keys else ()
    if name is None:
        return None
    return Connection(name, connector.name, settings, secrets, allow_private)


def _connector(connection: Part, part: Part | None, connectors: Mapping[str, Described]) -> Described | None:
    if part is None:
        connection.fault("is missing: say what is reached, as in connector: http", "connector")
        return None
    text = part.text("connector: http")
    if text is not None and text not in connectors:
        part.fault(f'"{shown(text)}" is no connector here; {nearest(text, connectors)}')
    return connectors.get(text) if text is not None else None


def _settings(
    connection: Part, part: Part | None, connector: Described, settings_fault: SettingsFault
) -> Mapping[str, Json]:
    schema = connector.settings_schema
    place = part or Part({}, (*connection.path, "settings"), connection.findings)
    if not isinstance(place.value, Mapping):
        place.fault(f"must be a mapping: settings: {{NAME: VALUE}}; this is {kind(place.value)}")
        return {}
    try:
        json.dumps(place.value, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        place.fault("is no JSON: it holds a number without an end, or is nested too deep")
        return {}
    known = schema.get("properties", {})
    sound = True
    if schema.get("additionalProperties") is False and not schema.get("patternProperties"):
        for name in place.value:
            if name not in known:
                place.fault(f"is no setting of {connector.name}; {nearest(str(name), known)}", name)
                sound = False
    for name in schema.get("required", ()):
        if name not in place.value:
            place.fault(f"is missing: {_meaning(known.get(name)) or f'{connector.name} needs it'}", name)
            sound = False
    if sound and (fault := settings_fault(json.dumps(schema, default=dict), place.value)):
        steps, message = place_in(place.value, fault)
        place.fault(message, *steps)
    return dict(place.value)


def _meaning(schema: object) -> str:
    return str(schema.get("description") or schema.get("title") or "") if isinstance(schema, Mapping) else ""


def _secrets(part: Part, connector: Described, secret_fault: SecretFault) -> tuple[tuple[str, str], ...]:
    """Read references by name. Neither a value nor a name that is unlike those known is quoted: it may be a secret."""
    names = connector.secrets
    if not names:
        part.fault(f"is not taken: {connector.name} uses no secrets")
        return ()
    if not isinstance(part.value, Mapping):
        part.fault(f'must be a mapping: secrets: {{{next(iter(names))}: "env:NAME"}}; this is {kind(part.value)}')
        return ()
    references = {}
    for name, value in part.value.items():
        item = Part(value, (*part.path, name), part.findings)
        if name in names:
            references[name] = _reference(item, secret_fault)
        elif get_close_matches(name.lower(), names, n=1):
            item.fault(f"is no secret of {connector.name}; {nearest(name, names)}")
        else:
            part.fault(f"has a key that is no secret of {connector.name}; {nearest('', names)}")
    return tuple(sorted((name, reference) for name, reference in references.items() if reference is not None))


def _reference(item: Part, secret_fault: SecretFault) -> str | None:
    reference = item.text(_REFERENCE)
    if reference is None:
        return None
    if reference.startswith("handshake:"):
        item.fault(f"must be {_REFERENCE}: only the provider of a source brings secrets in a handshake")
        return None
    if fault := secret_fault(reference):
        item.fault(fault)
        return None
    return reference


def _allow_private(part: Part) -> tuple[str, ...]:
    entries: list[str] = []
    for item in part.items(_HOW_TO_ALLOW):
        entry = item.text("a host's name or a network, as in localhost or 10.1.0.0/16")
        if entry is None:
            continue
        if fault := entry_fault(entry):
            item.fault(fault)
        elif entry in entries:
            item.fault("is there twice")
        else:
            entries.append(entry)
    return tuple(entries)
