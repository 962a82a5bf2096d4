"""Making the configuration be what a document says, or saying everything that is wrong with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.catalog.source_grammar import read_source
from app.core.domain.audit import Action, Actor
from app.core.domain.document import Document, Findings, Part
from app.core.domain.errors import Fault, SecretMissing, Unavailable
from app.core.domain.registration import reference_of
from app.core.domain.schema_grammar import SchemaFault
from app.core.domain.secret_grammar import SecretFault
from app.core.domain.source import Source
from app.core.domain.source_difference import Difference, differences
from app.core.ports.audit_log import AuditLog
from app.core.ports.payload_schemas import PayloadSchemas
from app.core.ports.secret_store import SecretStore
from app.core.ports.source_registry import Change, SourceRegistry

KEYS = ("sources",)
LATER = {
    "connections": "connections are not in this version: leave this part out",
    "flows": "flows are not in this version: leave this part out",
}


@dataclass(frozen=True, slots=True)
class PlannedSource:
    """What applying does, or did, to one source."""

    name: str
    change: Change
    diff: tuple[Difference, ...] = ()
    """Only of a changed one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What applying a document does, or did; in the document's order."""

    applied: bool
    """False: it was a dry run, and nothing was written."""
    sources: tuple[PlannedSource, ...]
    warnings: tuple[Fault, ...]
    """What does not stand in the way: secrets that are not here; where webhooks are served they may be, or come."""


@dataclass(frozen=True, slots=True)
class ApplyConfiguration:
    """Validate a whole document, then apply all of it in one transaction."""

    sources: SourceRegistry
    secrets: SecretStore
    schemas: PayloadSchemas
    audit: AuditLog

    async def __call__(self, document: Document, by: Actor, *, dry_run: bool = False) -> Plan:
        """Apply a document, or with `dry_run` tell what that would do. Applying the same again changes nothing.

        Raises `Invalid` with every fault when it has any (nothing is changed then), `Unavailable`, `OutcomeUnknown`.
        """
        wanted = _read(document, self.secrets.fault, self.schemas.schema_fault)
        # Only for the diff, so it does not matter that somebody may apply something else at this moment: what changed
        # is what the registry says.
        before = {source.name: source for source in await self.sources.all()}
        if not dry_run:
            await self.audit.append(by.does(Action.APPLY, "sources", **_foreseen(wanted, before)))
        changes = await self.sources.apply(wanted, dry_run=dry_run)
        planned = [
            PlannedSource(source.name, change, _diff(change, before.get(source.name), source))
            for source, change in zip(wanted, changes, strict=True)
        ]
        # Looked for afterwards: a source that was applied now may expect a secret from now on.
        warnings = await self._unresolved(document, wanted, dry_run=dry_run)
        return Plan(applied=not dry_run, sources=tuple(planned), warnings=tuple(warnings))

    async def _unresolved(self, document: Document, wanted: Sequence[Source], *, dry_run: bool) -> list[Fault]:
        warnings = []
        for number, source in enumerate(wanted):
            for place, reference in enumerate(source.secrets):
                brought = reference == reference_of(source.name)
                if brought and dry_run:
                    continue  # applying is what lets it come
                try:
                    await self.secrets.resolve(reference)
                except (SecretMissing, Unavailable) as error:
                    where = document.where(("sources", number, "secrets", place))
                    elsewhere = "" if brought else " (where webhooks are served, it may be)"
                    warnings.append(Fault(where, f"{error}{elsewhere}"))
        return warnings


def _read(document: Document, secret_fault: SecretFault, schema_fault: SchemaFault) -> list[Source]:
    findings = Findings(document)
    top = Part(document.values, (), findings)
    keys = top.mapping(KEYS, later=LATER)
    if keys is not None and "sources" not in keys:
        top.fault("has no sources: there is nothing to apply")
    wanted = []
    first: dict[object, int] = {}
    if keys is not None and "sources" in keys:
        for number, item in enumerate(keys["sources"].items("begin each source with - name: NAME")):
            source = read_source(item, secret_fault, schema_fault)
            name = item.value.get("name") if isinstance(item.value, dict) else None
            if isinstance(name, str) and first.setdefault(name, number) != number:
                item.fault(f"is the name of sources[{first[name]}] already; names are given once", "name")
            if source is not None:
                wanted.append(source)
    findings.raise_if_any()
    return wanted


def _foreseen(wanted: Sequence[Source], before: Mapping[str, Source]) -> dict[str, list[str]]:
    """Name what applying is about to change."""
    created = [source.name for source in wanted if source.name not in before]
    changed = [source.name for source in wanted if before.get(source.name, source) != source]
    return {"created": created, "changed": changed}


def _diff(change: Change, before: Source | None, after: Source) -> tuple[Difference, ...]:
    return differences(before, after) if change == "changed" and before is not None else ()
