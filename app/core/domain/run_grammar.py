"""How a source says what its events set going: a connection, or a connector that needs no settings, and its action."""

from collections.abc import Iterable, Mapping

from app.core.domain.connector import Described
from app.core.domain.document import Part, nearest, shown

SPELLING = "run: CONNECTION.ACTION"

Runnable = Described | str | None
"""What can be asked under a name; a text says why nothing can; None: that is said elsewhere."""


def runnable(connections: Iterable[tuple[str, str]], connectors: Mapping[str, Described]) -> dict[str, Runnable]:
    """Say what there is to run: connections, given by name and connector, and connectors whose name none has."""
    found: dict[str, Runnable] = {
        name: "is a connector that needs settings: add a connection of it to connections, and run that"
        if described.needs_settings
        else described
        for name, described in connectors.items()
    }
    for name, connector in connections:
        missing = f"is a connection of {shown(connector)}, a connector that is not in this version"
        found[name] = connectors.get(connector, missing)
    return found


def read_run(part: Part, known: Mapping[str, Runnable]) -> str | None:
    """Read `CONNECTION.ACTION`, or `CONNECTION` alone for the connector's first action; give `NAME.ACTION`."""
    text = part.text(SPELLING)
    if text is None:
        return None
    name, dot, action = text.partition(".")
    if not name or (dot and not action):
        part.fault(f'"{shown(text)}" is none of CONNECTION.ACTION or CONNECTION')
    elif name not in known:
        usable = [other for other, described in known.items() if not isinstance(described, str)]
        part.fault(f'"{shown(name)}" is no connection, neither here nor applied before; {nearest(name, usable)}')
    elif isinstance(described := known[name], str):
        part.fault(f"{name} {described}")
    elif described is not None:
        return _asked(part, name, action, described)
    return None


def _asked(part: Part, name: str, action: str, described: Described) -> str | None:
    found = described.action(action or None)
    if found is None:
        known = nearest(action, [each.name for each in described.actions])
        part.fault(f'"{shown(action)}" is no action of {name}; {known}')
        return None
    return f"{name}.{found.name}"


def lost(run: str, known: Mapping[str, Runnable]) -> bool:
    """Tell whether what a source runs would not be there any more."""
    name, _, action = run.partition(".")
    described = known.get(name)
    return isinstance(described, Described) and described.action(action) is None
