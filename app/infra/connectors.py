"""The registry of connectors: the built-in ones, and those of other people's packages, found by entry point.

A plugin is somebody else's code: whatever is wrong with it, it is left out, told of in one line, and all else goes on.
"""

import inspect
import json
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType

import structlog

from app.adapters.connectors.arithmetic import ArithmeticConnector
from app.adapters.connectors.echo import EchoConnector
from app.adapters.connectors.file import FileConnector
from app.adapters.connectors.http import HttpConnector
from app.adapters.connectors.log import LogConnector
from app.core.domain.connector_grammar import description_faults
from app.core.domain.delivery_key import printable
from app.core.ports.connector import Connector, ConnectorContext
from app.core.ports.outgoing import Outgoing
from app.core.ports.payload_schemas import PayloadSchemas

GROUP = "opsconnect.connectors"
FILES_FOLDER = Path(".opsconnect/files")
LONGEST_REASON = 300

_log = structlog.get_logger()


def find_connectors(
    outgoing: Outgoing, schemas: PayloadSchemas, *, files: Path = FILES_FOLDER
) -> Mapping[str, Connector]:
    """Make every connector that is installed, once; by name. Never raises, whatever packages bring.

    `files` is the folder below which the connector `file` writes. Left out is a plugin that cannot be loaded, has a
    name that is taken, or does not describe itself as it should (`schemas` judges what it shows); the log names its
    package and the reason.
    """
    built_in: tuple[Connector, ...] = (
        EchoConnector(),
        HttpConnector(outgoing),
        ArithmeticConnector(),
        LogConnector(),
        FileConnector(files),
    )
    found = {connector.described.name: connector for connector in built_in}
    context = ConnectorContext(outgoing)
    # In order of their names, so that of two with the same name it is always the same one that stays.
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, _package(entry))):
        made = _made(entry, context, schemas) if entry.name not in found else f"the name {entry.name!r} is taken"
        if isinstance(made, str):
            _log.warning("connector.left_out", connector=entry.name, package=_package(entry), reason=made)
        else:
            found[entry.name] = made
    return MappingProxyType(found)


def faults_of(connector: Connector, schemas: PayloadSchemas) -> list[str]:
    """Say why a connector cannot be used as it is; nothing, when it can."""
    described = connector.described
    if faults := description_faults(described):
        return faults
    shapes = {"settings_schema": described.settings_schema}
    shapes |= {f"input_schema of {action.name}": action.input_schema for action in described.actions}
    faults = [
        f"{name}: {fault}" for name, shape in shapes.items() if (fault := schemas.schema_fault(json.dumps(shape)))
    ]
    ways = (getattr(connector, "run", None), getattr(connector, "check", None))
    return faults if all(map(inspect.iscoroutinefunction, ways)) else [*faults, "run and check must be async methods"]


def _made(entry: EntryPoint, context: ConnectorContext, schemas: PayloadSchemas) -> Connector | str:
    try:
        connector: Connector = entry.load()(context)
        faults = faults_of(connector, schemas)
        if not faults and connector.described.name != entry.name:
            faults = [f"it calls itself {connector.described.name!r}, and its entry point {entry.name!r}"]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's code, which may fail in any way
        return _line(f"{type(error).__name__}: {error}")
    return _line("; ".join(faults)) if faults else connector


def _line(text: str) -> str:
    return printable(text.encode("utf-8", "surrogatepass"))[:LONGEST_REASON]


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else ""
