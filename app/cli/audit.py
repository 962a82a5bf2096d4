"""`opsconnect audit`: what operators did, and whether that is still what was written."""

import json
from typing import Annotated

import typer
from rich.text import Text

from app.cli import AsJson, asking, failing_clearly, say, say_json
from app.core.domain.audit import AuditEntry, Head
from app.core.domain.errors import Fault, Invalid
from app.core.ports.audit_log import AuditQuery

commands: typer.Typer = typer.Typer(help="Look at what operators did.", no_args_is_help=True)

HASH_BYTES = 32
LONGEST_SEQ = 18


@commands.command("list")
def list_entries(
    actor: Annotated[str | None, typer.Option(help="Only of this one: admin, key:NAME, cli:USER, open.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this, such as refusal.release.")] = None,
    target: Annotated[str | None, typer.Option(help="Only done to this name or id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List what operators did, newest first."""
    from app.adapters.web.audit import shown

    query = AuditQuery(actor, action, target, limit=limit)
    with failing_clearly():
        page = asking(lambda application: application.browse_audit.find(query))
        if as_json:
            say_json([shown(entry) for entry in page.entries])
            return
        if not page.entries:
            say("Nothing was done yet." if query == AuditQuery(limit=limit) else "No entries match.")
        for entry in page.entries:
            say(_line(entry))
        if page.next_before:
            say(Text("… and more: raise --limit", style="dim"))


@commands.command("verify")
def verify_chain(
    noted: Annotated[
        str | None, typer.Option(metavar="SEQ:HASH", help="Also that this entry, noted before, is still in it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk the whole log, and say whether an entry was changed, removed or put in between."""
    with failing_clearly():
        head = None if noted is None else _head(noted)
        found = asking(lambda application: application.browse_audit.verify(head))
        if as_json:
            say_json({"intact": found.fault is None, "fault": found.fault, "head": str(found.head)})
        if found.fault is not None:
            raise Invalid([Fault("audit log", f"{found.fault}; up to entry {found.head.seq} it is as it was written")])
        if not as_json:
            say(f"{found.head.seq} entries, as they were written.")
            say(Text("Note this elsewhere; --noted proves by it later that none was cut off the end:", style="dim"))
            say(str(found.head))


def _line(entry: AuditEntry) -> Text:
    from app.adapters.web.shown import rfc3339

    line = Text.assemble((rfc3339(entry.at), "dim"), f"  {entry.seq:>5}  {entry.actor:<16}  ")
    line.append(f"{entry.action:<20}", style="cyan")
    line.append(f"  {entry.target}")
    details = (f"{name}={_told(value)}" for name, value in entry.details.items() if value not in (None, [], ""))
    line.append(f"  {'  '.join(details)}".rstrip(), style="dim")
    return line


def _told(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value, ensure_ascii=True)


def _head(text: str) -> Head:
    seq, _, digest = text.partition(":")
    try:
        head = Head(int(seq), bytes.fromhex(digest))
    except ValueError:
        head = None
    if head is None or head.seq < 0 or len(seq) > LONGEST_SEQ or len(head.hash) != HASH_BYTES:
        raise Invalid([Fault("--noted", "is no SEQ:HASH as 'opsconnect audit verify' prints it")])
    return head
