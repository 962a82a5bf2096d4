"""Making the configuration be what a document says, or saying everything that is wrong with it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.core.catalog.document_grammar import Judges, Wanted, read_document
from app.core.domain import connection_difference, source_difference
from app.core.domain.audit import Action, Actor
from app.core.domain.connection import Connection
from app.core.domain.difference import Difference
from app.core.domain.document import Document, DocumentPath
from app.core.domain.errors import Fault, SecretMissing, Unavailable
from app.core.domain.registration import reference_of
from app.core.domain.source import Source
from app.core.ports.audit_log import AuditLog
from app.core.ports.configuration import Change, Configuration
from app.core.ports.connection_registry import ConnectionRegistry
from app.core.ports.connector import Connector
from app.core.ports.payload_schemas import PayloadSchemas
from app.core.ports.secret_store import SecretStore
from app.core.ports.source_registry import SourceRegistry

Named = TypeVar("Named", Source, Connection)


@dataclass(frozen=True, slots=True)
class Planned:
    """What applying does, or did, to one source or connection."""

    name: str
    change: Change
    diff: tuple[Difference, ...] = ()
    """Only of a changed one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What applying a document does, or did; in the document's order."""

    applied: bool
    """False: it was a dry run, and nothing was written."""
    sources: tuple[Planned, ...]
    connections: tuple[Planned, ...]
    warnings: tuple[Fault, ...]
    """What does not stand in the way: secrets that are not here; where they are used they may be, or come."""


@dataclass(frozen=True, slots=True)
class ApplyConfiguration:
    """Validate a whole document, then apply all of it in one transaction."""

    configuration: Configuration
    sources: SourceRegistry
    connections: ConnectionRegistry
    connectors: Mapping[str, Connector]
    secrets: SecretStore
    schemas: PayloadSchemas
    audit: AuditLog

    async def __call__(self, document: Document, by: Actor, *, dry_run: bool = False) -> Plan:
        """Apply a document, or with `dry_run` tell what that would do. Applying the same again changes nothing.

        Raises `Invalid` with every fault when it has any (nothing is changed then), `Unavailable`, `OutcomeUnknown`.
        """
        # It does not matter that somebody may apply something else at this moment: what may be run stays, because
        # applying removes nothing, and what changed is what the configuration says.
        sources, connections = await self.sources.all(), await self.connections.all()
        wanted = read_document(document, self._judges(), sources, connections)
        if not dry_run:
            await self.audit.append(by.does(Action.APPLY, "configuration", **_foreseen(wanted, sources, connections)))
        applied = await self.configuration.apply(wanted.sources, wanted.connections, dry_run=dry_run)
        planned = _planned(wanted.sources, applied.sources, sources, source_difference.differences)
        connected = _planned(wanted.connections, applied.connections, connections, connection_difference.differences)
        # Looked for afterwards: a source that was applied now may expect a secret from now on.
        warnings = [
            warning
            for place, reference, advice in _references(wanted, dry_run=dry_run)
            if (warning := await self._missing(document.where(place), reference, advice)) is not None
        ]
        return Plan(not dry_run, planned, connected, tuple(warnings))

    def _judges(self) -> Judges:
        return Judges(
            {name: connector.described for name, connector in self.connectors.items()},
            self.secrets.fault,
            self.schemas.schema_fault,
            self.schemas.fault,
        )

    async def _missing(self, where: str, reference: str, advice: str) -> Fault | None:
        try:
            await self.secrets.resolve(reference)
        except (SecretMissing, Unavailable) as error:
            return Fault(where, f"{error}{advice}")
        return None


def _planned(
    wanted: Sequence[Named],
    changes: Sequence[Change],
    before: Sequence[Named],
    differences: Callable[[Named, Named], tuple[Difference, ...]],
) -> tuple[Planned, ...]:
    known = {one.name: one for one in before}
    return tuple(
        Planned(
            one.name, change, differences(known[one.name], one) if change == "changed" and one.name in known else ()
        )
        for one, change in zip(wanted, changes, strict=True)
    )


def _references(wanted: Wanted, *, dry_run: bool) -> Iterator[tuple[DocumentPath, str, str]]:
    """Go through the secrets that are referred to: where, which, and what to add where one is not here."""
    for number, source in enumerate(wanted.sources):
        for place, reference in enumerate(source.secrets):
            if reference != reference_of(source.name):
                yield ("sources", number, "secrets", place), reference, " (where webhooks are served, it may be)"
            elif not dry_run:  # applying is what lets it come
                yield ("sources", number, "secrets", place), reference, ""
    for number, connection in enumerate(wanted.connections):
        for name, reference in connection.secrets:
            yield ("connections", number, "secrets", name), reference, " (where jobs run, it may be)"


def _foreseen(wanted: Wanted, sources: Sequence[Source], connections: Sequence[Connection]) -> dict[str, list[str]]:
    """Name what applying is about to change: sources by their names, connections with their kind before it."""
    known: dict[str, Source | Connection] = {source.name: source for source in sources}
    known |= {f"connection {connection.name}": connection for connection in connections}
    new: dict[str, Source | Connection] = {source.name: source for source in wanted.sources}
    new |= {f"connection {connection.name}": connection for connection in wanted.connections}
    return {
        "created": [name for name in new if name not in known],
        "changed": [name for name, one in new.items() if name in known and known[name] != one],
    }
